#include "engine/formats/hf_config.h"

#include <nlohmann/json.hpp>

#include "engine/formats/json.h"
#include "engine/formats/spec_check.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr int64_t kIntMax = INT32_MAX;

Error unsupported(const JsonObject& object, std::string_view what) {
  return Error(Code::kUnsupported, object.where() + ": " + std::string(what));
}

Result<Architecture> architecture_of(const JsonObject& config) {
  HEARTH_TRY(const std::string type, config.text("model_type"));
  if (type == "llama") return Architecture::kLlama;
  if (type == "qwen2") return Architecture::kQwen2;
  if (type == "qwen3") return Architecture::kQwen3;
  return unsupported(config, "model_type " + type + " (known: llama, qwen2, qwen3)");
}

// Options of the known architectures that change the arithmetic in ways this build does not
// implement.
Result<void> refuse_unknown_arithmetic(const JsonObject& config, Architecture architecture) {
  HEARTH_TRY(const std::string activation, config.text_or("hidden_act", "silu"));
  if (activation != "silu") return unsupported(config, "hidden_act " + activation);
  for (const std::string_view key : {"mlp_bias", "use_sliding_window"}) {
    HEARTH_TRY(const bool on, config.boolean_or(key, false));
    if (on) return unsupported(config, std::string(key) + " true");
  }
  if (architecture != Architecture::kQwen2) {  // whose biases do not depend on the key
    HEARTH_TRY(const bool bias, config.boolean_or("attention_bias", false));
    if (bias) return unsupported(config, "attention_bias true");
  }
  HEARTH_TRY(const double partial, config.number_or("partial_rotary_factor", 1.0));
  if (partial != 1.0) return unsupported(config, "partial_rotary_factor other than 1");
  return {};
}

// rope_scaling and rope_parameters name the same things; the latter also holds rope_theta.
Result<void> read_rope_parameters(const JsonObject& rope, ModelSpec& spec) {
  HEARTH_TRY(const std::string old_name, rope.text_or("type", "default"));
  HEARTH_TRY(const std::string type, rope.text_or("rope_type", old_name));
  if (type == "linear") {
    spec.rope.scaling = RopeScaling::kLinear;
  } else if (type == "llama3") {
    spec.rope.scaling = RopeScaling::kLlama3;
  } else if (type != "default") {
    return unsupported(rope, "rope type " + type + " (known: default, linear, llama3)");
  }
  HEARTH_TRY(spec.rope.theta, rope.number_or("rope_theta", spec.rope.theta));
  HEARTH_TRY(const double partial, rope.number_or("partial_rotary_factor", 1.0));
  if (partial != 1.0) return unsupported(rope, "partial_rotary_factor other than 1");
  if (spec.rope.scaling == RopeScaling::kNone) return {};
  HEARTH_TRY(spec.rope.factor, rope.number("factor"));
  if (spec.rope.scaling == RopeScaling::kLinear) return {};
  HEARTH_TRY(spec.rope.low_freq_factor, rope.number("low_freq_factor"));
  HEARTH_TRY(spec.rope.high_freq_factor, rope.number("high_freq_factor"));
  HEARTH_TRY(const int64_t original, rope.integer("original_max_position_embeddings", 1, kIntMax));
  spec.rope.original_context = static_cast<int>(original);
  return {};
}

Result<void> read_rope(const JsonObject& config, ModelSpec& spec) {
  HEARTH_TRY(spec.rope.theta, config.number_or("rope_theta", 10000.0));
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key)) continue;
    HEARTH_TRY(const JsonObject rope, config.object(key));
    HEARTH_RETURN_IF_ERROR(read_rope_parameters(rope, spec));
  }
  return {};
}

Result<void> read_sizes(const JsonObject& config, ModelSpec& spec) {
  const auto read = [&](std::string_view key, int& out) -> Result<void> {
    HEARTH_TRY(const int64_t value, config.integer(key, 1, kIntMax));
    out = static_cast<int>(value);
    return {};
  };
  HEARTH_RETURN_IF_ERROR(read("num_hidden_layers", spec.layers));
  HEARTH_RETURN_IF_ERROR(read("hidden_size", spec.hidden));
  HEARTH_RETURN_IF_ERROR(read("intermediate_size", spec.ffn));
  HEARTH_RETURN_IF_ERROR(read("num_attention_heads", spec.heads));
  HEARTH_RETURN_IF_ERROR(read("vocab_size", spec.vocab));
  HEARTH_RETURN_IF_ERROR(read("max_position_embeddings", spec.context));
  HEARTH_TRY(const int64_t kv_heads,
             config.integer_or("num_key_value_heads", spec.heads, 1, kIntMax));
  spec.kv_heads = static_cast<int>(kv_heads);
  const bool qwen3 = spec.architecture == Architecture::kQwen3;
  if (!config.has("head_dim") && !qwen3 && spec.hidden % spec.heads != 0) {
    return config.wrong("hidden_size", "a multiple of num_attention_heads");
  }
  // Without the key, Qwen 3 means 128, the others an equal part of the hidden size.
  HEARTH_TRY(const int64_t head_dim,
             config.integer_or("head_dim", qwen3 ? 128 : spec.hidden / spec.heads, 1, kIntMax));
  spec.head_dim = static_cast<int>(head_dim);
  return {};
}

// One id or a list of ids; nothing if the key is missing.
Result<std::vector<int32_t>> read_ids(const JsonObject& config, std::string_view key) {
  std::vector<int32_t> ids;
  const json* value = config.find(key);
  if (value == nullptr) return ids;
  const auto add = [&](const json& id) {
    const bool fits = id.is_number_integer() && id >= 0 && id <= kIntMax;
    if (fits) ids.push_back(id.get<int32_t>());
    return fits;
  };
  if (value->is_array() && value->size() <= 64) {
    for (const json& id : *value) {
      if (!add(id)) return config.wrong(key, "token ids");
    }
  } else if (!add(*value)) {
    return config.wrong(key, "a token id or a list of at most 64");
  }
  return ids;
}

}  // namespace

Result<ModelSpec> spec_of_config(const json& config, const std::string& file) {
  HEARTH_TRY(const JsonObject object, JsonObject::of(config, file));
  ModelSpec spec;
  HEARTH_TRY(spec.architecture, architecture_of(object));
  HEARTH_TRY(spec.architecture_name, object.text("model_type"));
  HEARTH_RETURN_IF_ERROR(refuse_unknown_arithmetic(object, spec.architecture));
  HEARTH_RETURN_IF_ERROR(read_sizes(object, spec));
  HEARTH_RETURN_IF_ERROR(read_rope(object, spec));
  HEARTH_TRY(const double epsilon, object.number_or("rms_norm_eps", 1e-6));
  spec.norm_epsilon = static_cast<float>(epsilon);
  HEARTH_TRY(spec.tied_embedding, object.boolean_or("tie_word_embeddings", false));
  spec.attention_bias = spec.architecture == Architecture::kQwen2;
  spec.qk_norm = spec.architecture == Architecture::kQwen3;
  HEARTH_TRY(spec.eos_ids, read_ids(object, "eos_token_id"));
  HEARTH_TRY(const std::vector<int32_t> bos_ids, read_ids(object, "bos_token_id"));
  if (!bos_ids.empty()) spec.bos_id = bos_ids.front();
  HEARTH_RETURN_IF_ERROR(check_spec(spec, file));
  return spec;
}

Result<void> apply_generation_config(const json& config, const std::string& file, ModelSpec& spec) {
  HEARTH_TRY(const JsonObject object, JsonObject::of(config, file));
  HEARTH_TRY(std::vector<int32_t> ids, read_ids(object, "eos_token_id"));
  if (!ids.empty()) spec.eos_ids = std::move(ids);
  return check_spec(spec, file);
}

}  // namespace hearth::engine
