#include "engine/formats/gguf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/formats/gguf_parts.h"
#include "engine/formats/spec_check.h"

namespace hearth::engine {
namespace {

constexpr int64_t kIntMax = INT32_MAX;

struct NamePair {
  std::string_view gguf;
  std::string_view hugging_face;
};

// https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/tensor_mapping.py
constexpr std::array kModelNames = {
    NamePair{"token_embd", "model.embed_tokens"},
    NamePair{"output_norm", "model.norm"},
    NamePair{"output", "lm_head"},
};
constexpr std::array kLayerNames = {
    NamePair{"attn_norm", "input_layernorm"},    NamePair{"attn_q", "self_attn.q_proj"},
    NamePair{"attn_k", "self_attn.k_proj"},      NamePair{"attn_v", "self_attn.v_proj"},
    NamePair{"attn_q_norm", "self_attn.q_norm"}, NamePair{"attn_k_norm", "self_attn.k_norm"},
    NamePair{"attn_output", "self_attn.o_proj"}, NamePair{"ffn_norm", "post_attention_layernorm"},
    NamePair{"ffn_gate", "mlp.gate_proj"},       NamePair{"ffn_up", "mlp.up_proj"},
    NamePair{"ffn_down", "mlp.down_proj"},
};

template <size_t N>
std::string_view translate(const std::array<NamePair, N>& names, std::string_view gguf) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const NamePair& pair) { return pair.gguf == gguf; });
  return found == names.end() ? std::string_view() : found->hugging_face;
}

// "blk.3.attn_q.weight" to "model.layers.3.self_attn.q_proj.weight"; empty for a name not known.
std::string hugging_face_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view kind = name.substr(dot);  // ".weight"
  std::string_view stem = name.substr(0, dot);
  if (kind != ".weight" && kind != ".bias") return {};
  if (!stem.starts_with("blk.")) {
    const std::string_view translated = translate(kModelNames, stem);
    return translated.empty() ? std::string() : fmt::format("{}{}", translated, kind);
  }
  stem.remove_prefix(4);
  const size_t end = stem.find('.');
  if (end == std::string_view::npos || end == 0) return {};
  const std::string_view layer = stem.substr(0, end);
  const std::string_view translated = translate(kLayerNames, stem.substr(end + 1));
  if (translated.empty()) return {};
  return fmt::format("model.layers.{}.{}{}", layer, translated, kind);
}

Error unsupported(const GgufFile& gguf, std::string_view what) {
  return Error(Code::kUnsupported, fmt::format("{}: {}", gguf.file(), what));
}

Result<Architecture> architecture_of(const GgufFile& gguf) {
  HEARTH_TRY(const std::string_view name, gguf.text("general.architecture"));
  if (name == "llama") return Architecture::kLlama;
  if (name == "qwen2") return Architecture::kQwen2;
  if (name == "qwen3") return Architecture::kQwen3;
  return unsupported(gguf,
                     fmt::format("general.architecture {} (known: llama, qwen2, qwen3)", name));
}

Result<void> refuse_other_kinds(const GgufFile& gguf, const std::string& arch) {
  HEARTH_TRY(const std::string_view type, gguf.text_or("general.type", "model"));
  if (type != "model") return unsupported(gguf, fmt::format("general.type {}", type));
  HEARTH_TRY(const int64_t experts, gguf.integer_or(arch + ".expert_count", 0, 0, kIntMax));
  if (experts > 0) return unsupported(gguf, fmt::format("{}.expert_count {}", arch, experts));
  return {};
}

Result<void> read_sizes(const GgufFile& gguf, const std::string& arch, ModelSpec& spec) {
  const auto read = [&](std::string_view key, int64_t fallback, int& out) -> Result<void> {
    const std::string full = arch + "." + std::string(key);
    HEARTH_TRY(const int64_t value, fallback > 0 ? gguf.integer_or(full, fallback, 1, kIntMax)
                                                 : gguf.integer(full, 1, kIntMax));
    out = static_cast<int>(value);
    return {};
  };
  HEARTH_RETURN_IF_ERROR(read("block_count", 0, spec.layers));
  HEARTH_RETURN_IF_ERROR(read("embedding_length", 0, spec.hidden));
  HEARTH_RETURN_IF_ERROR(read("feed_forward_length", 0, spec.ffn));
  HEARTH_RETURN_IF_ERROR(read("context_length", 0, spec.context));
  HEARTH_RETURN_IF_ERROR(read("attention.head_count", 0, spec.heads));
  HEARTH_RETURN_IF_ERROR(read("attention.head_count_kv", spec.heads, spec.kv_heads));
  const bool explicit_head = gguf.has(arch + ".attention.key_length");
  if (!explicit_head && spec.hidden % spec.heads != 0) {
    return gguf.wrong(arch + ".embedding_length", "a multiple of attention.head_count");
  }
  const int equal_part = std::max(spec.hidden / spec.heads, 1);
  HEARTH_RETURN_IF_ERROR(read("attention.key_length", equal_part, spec.head_dim));
  int value_dim = 0;
  HEARTH_RETURN_IF_ERROR(read("attention.value_length", spec.head_dim, value_dim));
  int rope_dim = 0;
  HEARTH_RETURN_IF_ERROR(read("rope.dimension_count", spec.head_dim, rope_dim));
  if (value_dim != spec.head_dim || rope_dim != spec.head_dim) {
    return unsupported(gguf, fmt::format("heads of {} with values of {} and rope over {}",
                                         spec.head_dim, value_dim, rope_dim));
  }
  return {};
}

Result<void> read_rope(const GgufFile& gguf, const std::string& arch, ModelSpec& spec) {
  const std::string prefix = arch + ".rope.";
  HEARTH_TRY(spec.rope.theta, gguf.number_or(prefix + "freq_base", 10000.0));
  HEARTH_TRY(const double old_factor, gguf.number_or(prefix + "scale_linear", 1.0));
  HEARTH_TRY(spec.rope.factor, gguf.number_or(prefix + "scaling.factor", old_factor));
  const std::string_view implied = spec.rope.factor != 1.0 ? "linear" : "none";
  HEARTH_TRY(const std::string_view type, gguf.text_or(prefix + "scaling.type", implied));
  if (type == "linear") {
    spec.rope.scaling = RopeScaling::kLinear;
  } else if (type != "none") {
    return unsupported(gguf, fmt::format("{}scaling.type {} (known: none, linear)", prefix, type));
  }
  spec.rope.interleaved = spec.architecture == Architecture::kLlama;
  for (const FileTensor& tensor : gguf.tensors()) {
    if (tensor.name != "rope_freqs.weight") continue;
    if (tensor.encoding != Encoding::kF32 ||
        tensor.bytes.size() != sizeof(float) * static_cast<size_t>(spec.head_dim / 2)) {
      return Error(Code::kCorrupt, fmt::format("{}: tensor {}: expected {} numbers in F32",
                                               gguf.file(), tensor.name, spec.head_dim / 2));
    }
    spec.rope.frequency_divisors.resize(tensor.bytes.size() / sizeof(float));
    std::memcpy(spec.rope.frequency_divisors.data(), tensor.bytes.data(), tensor.bytes.size());
  }
  return {};
}

// Control tokens that end a turn or a text in the published models of the known architectures;
// files often name only one of them as their end.
constexpr std::array<std::string_view, 5> kEndTexts = {"<|eot_id|>", "<|eom_id|>", "<|im_end|>",
                                                       "<|end_of_text|>", "<|endoftext|>"};

// Ids and texts of the special tokens, and the chat template. A file may have no tokenizer at all.
Result<void> read_tokenizer(const GgufFile& gguf, OpenedModel& model) {
  constexpr int64_t kControl = 3;  // tokenizer.ggml.token_type
  ModelSpec& spec = model.spec;
  HEARTH_TRY(const std::string_view chat, gguf.text_or("tokenizer.chat_template", ""));
  model.chat_template = chat;
  std::vector<std::string_view> tokens;
  if (gguf.has("tokenizer.ggml.tokens")) {
    HEARTH_TRY(tokens, gguf.texts("tokenizer.ggml.tokens"));
  }
  const auto text_of = [&](int64_t id) {
    return id >= 0 && id < static_cast<int64_t>(tokens.size()) ? std::string(tokens[id]) : "";
  };
  const auto id_of = [&](std::string_view key) {
    return gguf.integer_or(fmt::format("tokenizer.ggml.{}_token_id", key), -1, 0, kIntMax);
  };
  HEARTH_TRY(const int64_t bos, id_of("bos"));
  spec.bos_id = static_cast<int32_t>(bos);
  model.bos_token = text_of(bos);
  const auto add_end = [&](int64_t id) {
    const bool known =
        std::find(spec.eos_ids.begin(), spec.eos_ids.end(), id) != spec.eos_ids.end();
    if (id >= 0 && !known) spec.eos_ids.push_back(static_cast<int32_t>(id));
  };
  for (const std::string_view key : {"eos", "eot", "eom"}) {
    HEARTH_TRY(const int64_t id, id_of(key));
    if (key == "eos") model.eos_token = text_of(id);
    add_end(id);
  }
  if (!gguf.has("tokenizer.ggml.token_type")) return {};
  HEARTH_TRY(const std::vector<int64_t> types, gguf.integers("tokenizer.ggml.token_type"));
  for (size_t id = 0; id < std::min(types.size(), tokens.size()); ++id) {
    const bool ends = std::find(kEndTexts.begin(), kEndTexts.end(), tokens[id]) != kEndTexts.end();
    if (types[id] == kControl && ends) add_end(static_cast<int64_t>(id));
  }
  return {};
}

Result<void> read_tensors(const GgufFile& gguf, OpenedModel& model) {
  for (const FileTensor& tensor : gguf.tensors()) {
    if (tensor.name == "rope_freqs.weight") continue;  // in spec.rope
    const std::string name = hugging_face_name(tensor.name);
    if (name.empty()) {
      return unsupported(gguf, fmt::format("tensor {}: no part of a {} model that is known",
                                           tensor.name, model.spec.architecture_name));
    }
    HEARTH_TRY(const TensorView view, view_of(tensor, gguf.file()));
    model.tensors.emplace(name, view);
  }
  return {};
}

}  // namespace

Result<OpenedModel> open_gguf(const std::string& path) {
  OpenedModel model;
  HEARTH_TRY(GgufParts parts, open_gguf_parts(path));
  const GgufFile& gguf = parts.gguf;
  ModelSpec& spec = model.spec;
  HEARTH_TRY(spec.architecture, architecture_of(gguf));
  HEARTH_TRY(spec.architecture_name, gguf.text("general.architecture"));
  const std::string arch = spec.architecture_name;
  HEARTH_TRY(spec.name, gguf.text_or("general.name", arch));
  HEARTH_RETURN_IF_ERROR(refuse_other_kinds(gguf, arch));
  HEARTH_RETURN_IF_ERROR(read_sizes(gguf, arch, spec));
  HEARTH_RETURN_IF_ERROR(read_rope(gguf, arch, spec));
  HEARTH_TRY(const double epsilon, gguf.number(arch + ".attention.layer_norm_rms_epsilon"));
  spec.norm_epsilon = static_cast<float>(epsilon);
  spec.attention_bias = spec.architecture == Architecture::kQwen2;
  spec.qk_norm = spec.architecture == Architecture::kQwen3;
  HEARTH_RETURN_IF_ERROR(read_tokenizer(gguf, model));
  HEARTH_RETURN_IF_ERROR(read_tensors(gguf, model));
  spec.tied_embedding = !model.tensors.contains("lm_head.weight");

  const auto embedding = model.tensors.find("model.embed_tokens.weight");
  const int64_t rows = embedding == model.tensors.end() ? 0 : embedding->second.rows;
  HEARTH_TRY(const int64_t vocab, gguf.integer_or(arch + ".vocab_size", rows, 1, kIntMax));
  if (vocab > kIntMax) return gguf.wrong(arch + ".vocab_size", "an integer below 2^31");
  spec.vocab = static_cast<int>(vocab);
  model.files = std::move(parts.files);
  return model;
}

}  // namespace hearth::engine
