#include "engine/formats/hf_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/formats/json.h"
#include "engine/formats/spec_check.h"
#include "engine/models/architecture.h"
#include "engine/models/rope.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr int64_t kIntMax = INT32_MAX;

Error unsupported(const JsonObject& object, std::string_view what) {
  return Error(Code::kUnsupported, object.where() + ": " + std::string(what));
}

// Options that change the arithmetic in ways that no known architecture implements.
Result<void> refuse_unknown_arithmetic(const JsonObject& config) {
  HEARTH_TRY(const bool mlp_bias, config.boolean_or("mlp_bias", false));
  if (mlp_bias) return unsupported(config, "mlp_bias true");
  for (const std::string_view key : {"final_logit_softcapping", "attn_logit_softcapping"}) {
    if (config.has(key)) return unsupported(config, key);
  }
  return {};
}

Result<void> read_activation(const JsonObject& config, ModelSpec& spec) {
  HEARTH_TRY(const std::string old_name, config.text_or("hidden_act", "silu"));
  HEARTH_TRY(const std::string activation, config.text_or("hidden_activation", old_name));
  if (activation == "silu") {
    spec.activation = Activation::kSilu;
  } else if (activation == "gelu_pytorch_tanh") {
    spec.activation = Activation::kGeluTanh;
  } else {
    return unsupported(config, "hidden_act " + activation + " (known: silu, gelu_pytorch_tanh)");
  }
  return {};
}

Result<std::vector<float>> read_factors(const JsonObject& rope, std::string_view key) {
  HEARTH_TRY(const json* list, rope.array(key));
  std::vector<float> factors;
  for (const json& factor : *list) {
    if (!factor.is_number() || list->size() > 1024) return rope.wrong(key, "at most 1024 numbers");
    factors.push_back(factor.get<float>());
  }
  return factors;
}

Result<void> read_original_context(const JsonObject& rope, RopeSpec& spec) {
  HEARTH_TRY(const int64_t original, rope.integer_or("original_max_position_embeddings",
                                                     spec.original_context, 1, kIntMax));
  spec.original_context = static_cast<int>(original);
  return {};
}

Result<void> read_yarn(const JsonObject& rope, RopeSpec& spec) {
  HEARTH_TRY(spec.factor, rope.number("factor"));
  HEARTH_TRY(spec.beta_fast, rope.number_or("beta_fast", 32));
  HEARTH_TRY(spec.beta_slow, rope.number_or("beta_slow", 1));
  HEARTH_TRY(spec.truncate, rope.boolean_or("truncate", true));
  HEARTH_TRY(const double mscale, rope.number_or("mscale", 0));
  HEARTH_TRY(const double mscale_all, rope.number_or("mscale_all_dim", 0));
  const double implied = mscale != 0 && mscale_all != 0 ? yarn_mscale(spec.factor, mscale) /
                                                              yarn_mscale(spec.factor, mscale_all)
                                                        : yarn_mscale(spec.factor, 1);
  HEARTH_TRY(spec.attention_factor, rope.number_or("attention_factor", implied));
  return {};
}

// `context` is max_position_embeddings.
Result<void> read_long_rope(const JsonObject& rope, int context, RopeSpec& spec) {
  HEARTH_TRY(spec.short_factors, read_factors(rope, "short_factor"));
  HEARTH_TRY(spec.long_factors, read_factors(rope, "long_factor"));
  const double ratio = static_cast<double>(context) / spec.original_context;
  HEARTH_TRY(spec.factor, rope.number_or("factor", ratio));
  const double implied =
      spec.factor <= 1 ? 1 : std::sqrt(1 + std::log(spec.factor) / std::log(spec.original_context));
  HEARTH_TRY(spec.attention_factor, rope.number_or("attention_factor", implied));
  return {};
}

// rope_scaling and rope_parameters name the same things; the latter also holds rope_theta.
Result<void> read_rope_parameters(const JsonObject& rope, int context, RopeSpec& spec) {
  HEARTH_TRY(const std::string old_name, rope.text_or("type", "default"));
  HEARTH_TRY(const std::string type, rope.text_or("rope_type", old_name));
  HEARTH_TRY(spec.theta, rope.number_or("rope_theta", spec.theta));
  HEARTH_TRY(const double partial, rope.number_or("partial_rotary_factor", 1.0));
  if (!(partial > 0) || partial > 1) return rope.wrong("partial_rotary_factor", "0 to 1");
  if (rope.has("partial_rotary_factor")) {
    spec.dimensions = static_cast<int>(spec.dimensions * partial);
  }
  HEARTH_RETURN_IF_ERROR(read_original_context(rope, spec));
  if (type == "default") return {};
  if (type == "linear" || type == "dynamic") {
    spec.scaling = type == "linear" ? RopeScaling::kLinear : RopeScaling::kDynamic;
    HEARTH_TRY(spec.factor, rope.number("factor"));
    return {};
  }
  if (type == "llama3") {
    spec.scaling = RopeScaling::kLlama3;
    HEARTH_TRY(spec.factor, rope.number("factor"));
    HEARTH_TRY(spec.low_freq_factor, rope.number("low_freq_factor"));
    HEARTH_TRY(spec.high_freq_factor, rope.number("high_freq_factor"));
    if (rope.has("original_max_position_embeddings")) return {};
    return rope.wrong("original_max_position_embeddings", "a number");
  }
  if (type == "yarn") {
    spec.scaling = RopeScaling::kYarn;
    return read_yarn(rope, spec);
  }
  if (type == "longrope" || type == "su") {
    spec.scaling = RopeScaling::kLongRope;
    return read_long_rope(rope, context, spec);
  }
  return unsupported(
      rope, "rope type " + type + " (known: default, linear, dynamic, llama3, yarn, longrope)");
}

// Newer configs hold parameters for each kind of layer, by the names of layer_types.
Result<void> read_layered_rope(const JsonObject& layered, ModelSpec& spec) {
  RopeSpec local = spec.rope;
  if (layered.has("full_attention")) {
    HEARTH_TRY(const JsonObject full, layered.object("full_attention"));
    HEARTH_RETURN_IF_ERROR(read_rope_parameters(full, spec.context, spec.rope));
  }
  if (layered.has("sliding_attention")) {
    HEARTH_TRY(const JsonObject sliding, layered.object("sliding_attention"));
    HEARTH_RETURN_IF_ERROR(read_rope_parameters(sliding, spec.context, local));
    spec.local_rope = local;
  }
  return {};
}

Result<void> read_rope(const JsonObject& config, ModelSpec& spec) {
  RopeSpec& rope = spec.rope;
  HEARTH_TRY(rope.theta, config.number_or("rope_theta", rope.theta));
  HEARTH_TRY(const double partial, config.number_or("partial_rotary_factor", 1.0));
  if (!(partial > 0) || partial > 1) return config.wrong("partial_rotary_factor", "0 to 1");
  // A head's, unless the parameters below say so again.
  const int whole = spec.head_dim;
  rope.dimensions = static_cast<int>(whole * partial);
  rope.original_context = spec.context;
  HEARTH_RETURN_IF_ERROR(read_original_context(config, rope));
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key)) continue;
    HEARTH_TRY(const JsonObject parameters, config.object(key));
    if (parameters.has("partial_rotary_factor")) rope.dimensions = whole;
    const bool layered = parameters.has("full_attention") || parameters.has("sliding_attention");
    HEARTH_RETURN_IF_ERROR(layered ? read_layered_rope(parameters, spec)
                                   : read_rope_parameters(parameters, spec.context, rope));
  }
  return {};
}

Result<void> read_sizes(const JsonObject& config, ModelSpec& spec) {
  const auto read = [&](std::string_view key, int& out) -> Result<void> {
    if (out > 0 && !config.has(key)) return {};  // the architecture's default
    return read_size(config, key, out);
  };
  HEARTH_RETURN_IF_ERROR(read("num_hidden_layers", spec.layers));
  HEARTH_RETURN_IF_ERROR(read("hidden_size", spec.hidden));
  // Where all layers have experts, only their width may be there.
  const bool plain = config.has("intermediate_size") || !config.has("moe_intermediate_size");
  HEARTH_RETURN_IF_ERROR(read(plain ? "intermediate_size" : "moe_intermediate_size", spec.ffn));
  HEARTH_RETURN_IF_ERROR(read("num_attention_heads", spec.heads));
  HEARTH_RETURN_IF_ERROR(read("vocab_size", spec.vocab));
  HEARTH_RETURN_IF_ERROR(read("max_position_embeddings", spec.context));
  if (spec.kv_heads == 0) spec.kv_heads = spec.heads;
  HEARTH_RETURN_IF_ERROR(read("num_key_value_heads", spec.kv_heads));
  if (!config.has("head_dim") && spec.head_dim == 0) {
    if (spec.hidden % spec.heads != 0) {
      return config.wrong("hidden_size", "a multiple of num_attention_heads");
    }
    spec.head_dim = spec.hidden / spec.heads;
  }
  HEARTH_RETURN_IF_ERROR(read("head_dim", spec.head_dim));
  spec.value_dim = spec.head_dim;
  HEARTH_TRY(const int64_t draft, config.integer_or("num_nextn_predict_layers", 0, 0, 1024));
  spec.draft_layers = static_cast<int>(draft);
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
  HEARTH_TRY(const JsonObject outer, JsonObject::of(config, file));
  // A model that also sees or hears keeps its language model's config in an object of its own.
  HEARTH_TRY(const JsonObject object,
             outer.has("text_config") ? outer.object("text_config") : JsonObject::of(config, file));
  ModelSpec spec;
  HEARTH_TRY(spec.architecture_name, object.text("model_type"));
  const ArchitectureCode* code = find_model_type(spec.architecture_name);
  if (code == nullptr) {
    return unsupported(
        object, "model_type " + spec.architecture_name + " (known: " + known_model_types() + ")");
  }
  spec.architecture = code->architecture;
  if (code->set_defaults != nullptr) code->set_defaults(spec);
  HEARTH_RETURN_IF_ERROR(refuse_unknown_arithmetic(object));
  HEARTH_RETURN_IF_ERROR(read_activation(object, spec));
  HEARTH_RETURN_IF_ERROR(read_sizes(object, spec));
  HEARTH_RETURN_IF_ERROR(check_sizes(spec, file));
  HEARTH_RETURN_IF_ERROR(read_rope(object, spec));
  HEARTH_TRY(const double epsilon, object.number_or("rms_norm_eps", 1e-6));
  spec.norm_epsilon = static_cast<float>(epsilon);
  HEARTH_TRY(spec.tied_embedding, object.boolean_or("tie_word_embeddings", spec.tied_embedding));
  HEARTH_TRY(spec.attention_bias, object.boolean_or("attention_bias", spec.attention_bias));
  spec.attention_scale = 1 / std::sqrt(static_cast<float>(spec.head_dim));
  for (const JsonObject& place : {outer, object}) {
    HEARTH_TRY(std::vector<int32_t> eos_ids, read_ids(place, "eos_token_id"));
    if (!eos_ids.empty()) spec.eos_ids = std::move(eos_ids);
    HEARTH_TRY(const std::vector<int32_t> bos_ids, read_ids(place, "bos_token_id"));
    if (!bos_ids.empty()) spec.bos_id = bos_ids.front();
  }
  HEARTH_RETURN_IF_ERROR(code->read_config(object, spec));
  HEARTH_RETURN_IF_ERROR(check_spec(spec, file));
  return spec;
}

Result<void> apply_generation_config(const json& config, const std::string& file, ModelSpec& spec) {
  HEARTH_TRY(const JsonObject object, JsonObject::of(config, file));
  HEARTH_TRY(std::vector<int32_t> ids, read_ids(object, "eos_token_id"));
  if (!ids.empty()) spec.eos_ids = std::move(ids);
  return check_spec(spec, file);
}

Result<void> read_size(const JsonObject& config, std::string_view key, int& out) {
  HEARTH_TRY(const int64_t value, config.integer(key, 1, kIntMax));
  out = static_cast<int>(value);
  return {};
}

Result<void> read_sliding_layers(const JsonObject& config,
                                 bool (*by_default)(const JsonObject&, int), ModelSpec& spec) {
  HEARTH_TRY(const int64_t window, config.integer_or("sliding_window", spec.window, 0, kIntMax));
  spec.window = static_cast<int>(window);
  spec.sliding.assign(spec.layers, false);
  if (!config.has("layer_types")) {
    for (int layer = 0; layer < spec.layers; ++layer) {
      spec.sliding[layer] = by_default(config, layer);
    }
    return {};
  }
  HEARTH_TRY(const json* types, config.array("layer_types"));
  if (types->size() != static_cast<size_t>(spec.layers)) {
    return config.wrong("layer_types", "one for each layer");
  }
  for (int layer = 0; layer < spec.layers; ++layer) {
    const json& type = (*types)[layer];
    if (type != "full_attention" && type != "sliding_attention") {
      return unsupported(
          config, "layer type " + type.dump() + " (known: full_attention, sliding_attention)");
    }
    spec.sliding[layer] = type == "sliding_attention";
  }
  return {};
}

Result<void> read_qwen_sliding_layers(const JsonObject& config, ModelSpec& spec) {
  HEARTH_TRY(const bool used, config.boolean_or("use_sliding_window", false));
  if (!used) return {};
  return read_sliding_layers(
      config,
      [](const JsonObject& object, int layer) {
        const auto full = object.integer_or("max_window_layers", 0, 0, kIntMax);
        return full.ok() && layer >= *full;
      },
      spec);
}

}  // namespace hearth::engine
