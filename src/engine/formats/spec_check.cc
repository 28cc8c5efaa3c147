#include "engine/formats/spec_check.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <set>

namespace hearth::engine {
namespace {

struct Bound {
  std::string_view name;
  int value;
  int max;
};

Error wrong(const std::string& file, std::string_view what, int64_t value,
            std::string_view expected) {
  return Error(Code::kCorrupt, file + ": " + std::string(what) + " is " + std::to_string(value) +
                                   ", expected " + std::string(expected));
}

Result<void> check_rope(const ModelSpec& spec, const std::string& file) {
  const RopeSpec& rope = spec.rope;
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  if (!positive(rope.theta) || !positive(rope.factor) || !positive(rope.low_freq_factor) ||
      !positive(rope.high_freq_factor) || rope.original_context < 1) {
    return Error(Code::kCorrupt, file + ": rope parameters must be positive numbers");
  }
  if (rope.scaling == RopeScaling::kLlama3 && rope.high_freq_factor <= rope.low_freq_factor) {
    return Error(Code::kCorrupt, file + ": rope high_freq_factor must exceed low_freq_factor");
  }
  const auto divisors = static_cast<int64_t>(rope.frequency_divisors.size());
  if (divisors != 0 && divisors != spec.head_dim / 2) {
    return wrong(file, "number of rope frequency divisors", divisors,
                 std::to_string(spec.head_dim / 2));
  }
  for (const float divisor : rope.frequency_divisors) {
    if (!positive(divisor)) {
      return Error(Code::kCorrupt, file + ": rope frequency divisors must be positive numbers");
    }
  }
  return {};
}

}  // namespace

Result<void> check_spec(const ModelSpec& spec, const std::string& file) {
  const std::array bounds = {
      Bound{"number of layers", spec.layers, 1024},
      Bound{"hidden size", spec.hidden, 1 << 17},
      Bound{"feed-forward size", spec.ffn, 1 << 20},
      Bound{"number of heads", spec.heads, 1024},
      Bound{"number of key-value heads", spec.kv_heads, 1024},
      Bound{"head dimension", spec.head_dim, 1024},
      Bound{"vocabulary size", spec.vocab, 1 << 22},
      Bound{"context length", spec.context, 1 << 28},
  };
  for (const Bound& bound : bounds) {
    if (bound.value < 1 || bound.value > bound.max) {
      return wrong(file, bound.name, bound.value, "1 to " + std::to_string(bound.max));
    }
  }
  if (spec.heads % spec.kv_heads != 0) {
    return wrong(file, "number of heads", spec.heads,
                 "a multiple of the " + std::to_string(spec.kv_heads) + " key-value heads");
  }
  if (spec.head_dim % 2 != 0) return wrong(file, "head dimension", spec.head_dim, "an even number");
  if (!(spec.norm_epsilon > 0) || !(spec.norm_epsilon < 1)) {
    return Error(Code::kCorrupt, file + ": norm epsilon must lie between 0 and 1");
  }
  for (const int32_t id : spec.eos_ids) {
    if (id < 0 || id >= spec.vocab) {
      return wrong(file, "end-of-sequence id", id, "less than the vocabulary size");
    }
  }
  if (spec.bos_id < -1 || spec.bos_id >= spec.vocab) {
    return wrong(file, "beginning-of-sequence id", spec.bos_id, "less than the vocabulary size");
  }
  return check_rope(spec, file);
}

std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec) {
  const int64_t hidden = spec.hidden;
  const int64_t query = int64_t{spec.heads} * spec.head_dim;
  const int64_t key = int64_t{spec.kv_heads} * spec.head_dim;
  std::vector<ExpectedTensor> tensors;
  tensors.push_back({"model.embed_tokens.weight", spec.vocab, hidden, ExpectedTensor::kEmbedding});
  for (int layer = 0; layer < spec.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const auto add = [&](std::string_view name, int64_t rows, int64_t columns) {
      tensors.push_back({prefix + std::string(name), rows, columns, layer});
    };
    add("input_layernorm.weight", 1, hidden);
    add("self_attn.q_proj.weight", query, hidden);
    add("self_attn.k_proj.weight", key, hidden);
    add("self_attn.v_proj.weight", key, hidden);
    if (spec.attention_bias) {
      add("self_attn.q_proj.bias", 1, query);
      add("self_attn.k_proj.bias", 1, key);
      add("self_attn.v_proj.bias", 1, key);
    }
    if (spec.qk_norm) {
      add("self_attn.q_norm.weight", 1, spec.head_dim);
      add("self_attn.k_norm.weight", 1, spec.head_dim);
    }
    add("self_attn.o_proj.weight", hidden, query);
    add("post_attention_layernorm.weight", 1, hidden);
    add("mlp.gate_proj.weight", spec.ffn, hidden);
    add("mlp.up_proj.weight", spec.ffn, hidden);
    add("mlp.down_proj.weight", hidden, spec.ffn);
  }
  tensors.push_back({"model.norm.weight", 1, hidden, ExpectedTensor::kHead});
  if (!spec.tied_embedding) {
    tensors.push_back({"lm_head.weight", spec.vocab, hidden, ExpectedTensor::kHead});
  }
  return tensors;
}

Result<void> check_tensors(const ModelSpec& spec, const TensorTable& table,
                           const std::string& file) {
  std::set<std::string_view> names;
  const std::vector<ExpectedTensor> tensors = expected_tensors(spec);
  for (const ExpectedTensor& expected : tensors) {
    const auto found = table.find(expected.name);
    if (found == table.end()) {
      return Error(Code::kCorrupt, fmt::format("{}: tensor {} is missing", file, expected.name));
    }
    const TensorView& view = found->second;
    if (view.rows != expected.rows || view.columns != expected.columns) {
      return Error(
          Code::kCorrupt,
          fmt::format("{}: tensor {} has shape [{}, {}], expected [{}, {}]", file, expected.name,
                      view.rows, view.columns, expected.rows, expected.columns));
    }
    names.insert(expected.name);
  }
  for (const auto& [name, view] : table) {
    // Old checkpoints store the inverse frequencies, which follow from the config.
    const bool derived = name.ends_with(".rotary_emb.inv_freq");
    if (name.starts_with("model.layers.") && !derived && !names.contains(name)) {
      return Error(Code::kUnsupported, fmt::format("{}: tensor {}: not part of the {} model", file,
                                                   name, spec.architecture_name));
    }
  }
  return {};
}

}  // namespace hearth::engine
