#include "engine/formats/gguf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "engine/formats/gguf_names.h"
#include "engine/formats/gguf_parts.h"
#include "engine/formats/spec_check.h"
#include "engine/models/rope.h"

namespace hearth::engine {
namespace {

constexpr int64_t kIntMax = INT32_MAX;

Error unsupported(const GgufFile& gguf, std::string_view what) {
  return Error(Code::kUnsupported, fmt::format("{}: {}", gguf.file(), what));
}

Result<const ArchitectureCode*> architecture_of(const GgufFile& gguf) {
  HEARTH_TRY(const std::string_view name, gguf.text("general.architecture"));
  const ArchitectureCode* code = find_gguf_name(name);
  if (code != nullptr) return code;
  return unsupported(gguf,
                     fmt::format("general.architecture {} (known: {})", name, known_gguf_names()));
}

Result<void> refuse_other_kinds(const GgufFile& gguf, const std::string& arch) {
  HEARTH_TRY(const std::string_view type, gguf.text_or("general.type", "model"));
  if (type != "model") return unsupported(gguf, fmt::format("general.type {}", type));
  for (const std::string_view key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    const std::string full = fmt::format("{}.{}", arch, key);
    if (gguf.has(full)) return unsupported(gguf, full);
  }
  return {};
}

Result<void> read_sizes(const GgufFile& gguf, ModelSpec& spec) {
  const auto read = [&](std::string_view key, int64_t fallback, int& out) {
    return read_gguf_size(gguf, spec, key, fallback, out);
  };
  HEARTH_RETURN_IF_ERROR(read("block_count", 0, spec.layers));
  HEARTH_RETURN_IF_ERROR(read("embedding_length", 0, spec.hidden));
  // Where all layers have experts, only their width may be there.
  HEARTH_TRY(
      const int64_t expert_ffn,
      gguf.integer_or(spec.architecture_name + ".expert_feed_forward_length", 0, 0, kIntMax));
  HEARTH_RETURN_IF_ERROR(read("feed_forward_length", expert_ffn, spec.ffn));
  HEARTH_RETURN_IF_ERROR(read("context_length", 0, spec.context));
  HEARTH_RETURN_IF_ERROR(read("attention.head_count", 0, spec.heads));
  HEARTH_RETURN_IF_ERROR(read("attention.head_count_kv", spec.heads, spec.kv_heads));
  const std::string& arch = spec.architecture_name;
  const bool explicit_head = gguf.has(arch + ".attention.key_length");
  if (!explicit_head && spec.hidden % spec.heads != 0) {
    return gguf.wrong(arch + ".embedding_length", "a multiple of attention.head_count");
  }
  const int equal_part = std::max(spec.hidden / spec.heads, 1);
  HEARTH_RETURN_IF_ERROR(read("attention.key_length", equal_part, spec.head_dim));
  HEARTH_RETURN_IF_ERROR(read("attention.value_length", spec.head_dim, spec.value_dim));
  HEARTH_RETURN_IF_ERROR(read("rope.dimension_count", spec.head_dim, spec.rope.dimensions));
  HEARTH_TRY(const int64_t draft, gguf.integer_or(arch + ".nextn_predict_layers", 0, 0, 1024));
  if (draft >= spec.layers) {
    return gguf.wrong(arch + ".nextn_predict_layers", "fewer than block_count");
  }
  spec.draft_layers = static_cast<int>(draft);
  spec.layers -= spec.draft_layers;  // block_count counts them
  return {};
}

// Divisors of the frequencies, one a pair of dimensions; nothing if the file has no such tensor.
Result<std::vector<float>> read_divisors(const GgufFile& gguf, std::string_view name,
                                         const RopeSpec& rope) {
  std::vector<float> divisors;
  for (const FileTensor& tensor : gguf.tensors()) {
    if (tensor.name != name) continue;
    const auto count = static_cast<size_t>(rope.dimensions / 2);
    if (tensor.encoding != Encoding::kF32 || tensor.bytes.size() != sizeof(float) * count) {
      return Error(Code::kCorrupt, fmt::format("{}: tensor {}: expected {} numbers in F32",
                                               gguf.file(), tensor.name, count));
    }
    divisors.resize(count);
    std::memcpy(divisors.data(), tensor.bytes.data(), tensor.bytes.size());
  }
  return divisors;
}

Result<void> read_yarn(const GgufFile& gguf, const std::string& prefix, RopeSpec& rope) {
  HEARTH_TRY(rope.beta_fast, gguf.number_or(prefix + "yarn_beta_fast", 32));
  HEARTH_TRY(rope.beta_slow, gguf.number_or(prefix + "yarn_beta_slow", 1));
  HEARTH_TRY(const double factor, gguf.number_or(prefix + "attn_factor", 1));
  rope.attention_factor = factor * yarn_mscale(rope.factor, 1);
  return {};
}

// Long and short divisors, as the Phi models have them.
Result<void> read_long_rope(const GgufFile& gguf, const std::string& prefix, RopeSpec& rope) {
  HEARTH_TRY(rope.long_factors, read_divisors(gguf, "rope_factors_long.weight", rope));
  HEARTH_TRY(rope.short_factors, read_divisors(gguf, "rope_factors_short.weight", rope));
  if (rope.long_factors.empty()) return {};
  rope.scaling = RopeScaling::kLongRope;
  HEARTH_TRY(rope.attention_factor, gguf.number_or(prefix + "attn_factor", 1));
  return {};
}

Result<void> read_rope(const GgufFile& gguf, ModelSpec& spec) {
  RopeSpec& rope = spec.rope;
  const std::string prefix = spec.architecture_name + ".rope.";
  HEARTH_TRY(rope.theta, gguf.number_or(prefix + "freq_base", 10000.0));
  HEARTH_TRY(const double old_factor, gguf.number_or(prefix + "scale_linear", 1.0));
  HEARTH_TRY(rope.factor, gguf.number_or(prefix + "scaling.factor", old_factor));
  HEARTH_TRY(const int64_t original,
             gguf.integer_or(prefix + "scaling.original_context_length", spec.context, 1, kIntMax));
  rope.original_context = static_cast<int>(original);
  const std::string_view implied = rope.factor != 1.0 ? "linear" : "none";
  HEARTH_TRY(const std::string_view type, gguf.text_or(prefix + "scaling.type", implied));
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    HEARTH_RETURN_IF_ERROR(read_yarn(gguf, prefix + "scaling.", rope));
  } else if (type != "none" && type != "longrope") {
    return unsupported(
        gguf, fmt::format("{}scaling.type {} (known: none, linear, yarn, longrope)", prefix, type));
  }
  HEARTH_RETURN_IF_ERROR(read_long_rope(gguf, prefix + "scaling.", rope));
  HEARTH_TRY(rope.frequency_divisors, read_divisors(gguf, "rope_freqs.weight", rope));
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

// Does the tensor belong to a layer of multi-token prediction, behind the others?
bool is_draft(std::string_view name, const ModelSpec& spec) {
  int layer = 0;
  if (spec.draft_layers == 0 || !name.starts_with("blk.")) return false;
  const std::string_view digits = name.substr(4);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
  return parsed.ec == std::errc() && layer >= spec.layers;
}

Result<void> read_tensors(const GgufFile& gguf, const ArchitectureCode& code, OpenedModel& model) {
  for (const FileTensor& tensor : gguf.tensors()) {
    if (tensor.name.starts_with("rope_f")) continue;  // rope_freqs and rope_factors, in spec.rope
    if (is_draft(tensor.name, model.spec)) continue;
    const std::string name = hugging_face_name(tensor.name, code);
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
  HEARTH_TRY(const ArchitectureCode* code, architecture_of(gguf));
  spec.architecture = code->architecture;
  HEARTH_TRY(spec.architecture_name, gguf.text("general.architecture"));
  const std::string arch = spec.architecture_name;
  HEARTH_TRY(spec.name, gguf.text_or("general.name", arch));
  HEARTH_RETURN_IF_ERROR(refuse_other_kinds(gguf, arch));
  HEARTH_RETURN_IF_ERROR(read_sizes(gguf, spec));
  HEARTH_RETURN_IF_ERROR(check_sizes(spec, path));
  HEARTH_RETURN_IF_ERROR(read_rope(gguf, spec));
  HEARTH_TRY(const double epsilon, gguf.number(arch + ".attention.layer_norm_rms_epsilon"));
  spec.norm_epsilon = static_cast<float>(epsilon);
  spec.attention_scale = 1 / std::sqrt(static_cast<float>(spec.head_dim));
  HEARTH_RETURN_IF_ERROR(read_tokenizer(gguf, model));
  HEARTH_RETURN_IF_ERROR(read_tensors(gguf, *code, model));
  spec.tied_embedding = !model.tensors.contains("lm_head.weight");
  spec.attention_bias = model.tensors.contains("model.layers.0.self_attn.q_proj.bias");
  HEARTH_RETURN_IF_ERROR(code->read_gguf(gguf, spec));

  const auto embedding = model.tensors.find("model.embed_tokens.weight");
  const int64_t rows = embedding == model.tensors.end() ? 0 : embedding->second.rows;
  HEARTH_TRY(const int64_t vocab, gguf.integer_or(arch + ".vocab_size", rows, 1, kIntMax));
  if (vocab > kIntMax) return gguf.wrong(arch + ".vocab_size", "an integer below 2^31");
  spec.vocab = static_cast<int>(vocab);
  model.files = std::move(parts.files);
  return model;
}

Result<void> read_gguf_size(const GgufFile& gguf, const ModelSpec& spec, std::string_view key,
                            int64_t fallback, int& out) {
  const std::string full = fmt::format("{}.{}", spec.architecture_name, key);
  HEARTH_TRY(const int64_t value, fallback > 0 ? gguf.integer_or(full, fallback, 1, kIntMax)
                                               : gguf.integer(full, 1, kIntMax));
  out = static_cast<int>(value);
  return {};
}

Result<void> read_gguf_experts(const GgufFile& gguf, ExpertScoring scoring, ModelSpec& spec) {
  const std::string prefix = spec.architecture_name + ".";
  HEARTH_TRY(const int64_t experts, gguf.integer_or(prefix + "expert_count", 0, 0, kIntMax));
  if (experts == 0) return {};
  MoeSpec moe{.experts = static_cast<int>(experts)};
  const auto read = [&](std::string_view key, int64_t fallback, int& out) {
    return read_gguf_size(gguf, spec, key, fallback, out);
  };
  HEARTH_RETURN_IF_ERROR(read("expert_used_count", 0, moe.used));
  HEARTH_RETURN_IF_ERROR(read("expert_feed_forward_length", spec.ffn, moe.ffn));
  HEARTH_RETURN_IF_ERROR(read("expert_group_count", 1, moe.groups));
  HEARTH_RETURN_IF_ERROR(read("expert_group_used_count", 1, moe.groups_used));
  HEARTH_TRY(const int64_t shared, gguf.integer_or(prefix + "expert_shared_count", 0, 0, 64));
  moe.shared_ffn = static_cast<int>(std::min<int64_t>(shared * moe.ffn, kIntMax));
  HEARTH_TRY(const double scale, gguf.number_or(prefix + "expert_weights_scale", 1));
  moe.weight_scale = static_cast<float>(scale);
  HEARTH_TRY(moe.normalise, gguf.boolean_or(prefix + "expert_weights_norm", false));
  HEARTH_TRY(const int64_t dense,
             gguf.integer_or(prefix + "leading_dense_block_count", 0, 0, kIntMax));
  moe.sparse.assign(spec.layers, true);
  std::fill_n(moe.sparse.begin(), std::min<int64_t>(dense, spec.layers), false);
  const std::string gating = prefix + "expert_gating_func";
  HEARTH_TRY(const int64_t function, gguf.integer_or(gating, 0, 0, kIntMax));
  if (function > 3) return gguf.wrong(gating, "1 (softmax), 2 (sigmoid) or 3 (softmax of chosen)");
  constexpr std::array kScorings = {ExpertScoring::kSoftmax, ExpertScoring::kSigmoid,
                                    ExpertScoring::kSoftmaxOfChosen};
  moe.scoring = function == 0 ? scoring : kScorings[function - 1];
  spec.moe = std::move(moe);
  return {};
}

Result<void> read_gguf_sliding_layers(const GgufFile& gguf, int window, int pattern,
                                      bool (*by_rule)(int layer, int pattern), ModelSpec& spec) {
  const std::string prefix = spec.architecture_name + ".attention.sliding_window";
  HEARTH_TRY(const int64_t tokens, gguf.integer_or(prefix, window, 0, kIntMax));
  HEARTH_TRY(const int64_t period, gguf.integer_or(prefix + "_pattern", pattern, 1, kIntMax));
  spec.window = static_cast<int>(tokens);
  spec.sliding.assign(spec.layers, false);
  for (int layer = 0; layer < spec.layers; ++layer) {
    spec.sliding[layer] = by_rule(layer, static_cast<int>(period));
  }
  return {};
}

}  // namespace hearth::engine
