// config.json and generation_config.json to a ModelSpec.
// Sources: https://huggingface.co/docs/transformers/model_doc/* and .../internal/rope_utils.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/formats/json.h"
#include "engine/model_spec.h"

namespace hearth::engine {

// The spec in `config`, with transformers 4 keys (rope_theta, rope_scaling) or newer ones
// (rope_parameters). tied_embedding is what the config says, or its architecture's default. eos_ids
// and bos_id are the config's. kCorrupt names file, key and what was expected; kUnsupported names
// what this build cannot compute. Checked by check_spec.
Result<ModelSpec> spec_of_config(const nlohmann::json& config, const std::string& file);

// Replaces eos_ids by those of generation_config.json, if it has any.
Result<void> apply_generation_config(const nlohmann::json& config, const std::string& file,
                                     ModelSpec& spec);

// For architectures' read_config.

// sliding_window into `window`, and which layers slide: those that layer_types names, or without it
// those for which `by_default` says so. kUnsupported names another kind of layer.
Result<void> read_sliding_layers(const JsonObject& config,
                                 bool (*by_default)(const JsonObject&, int), ModelSpec& spec);

// use_sliding_window and max_window_layers, as the Qwen models write them.
Result<void> read_qwen_sliding_layers(const JsonObject& config, ModelSpec& spec);

// A positive number as int.
Result<void> read_size(const JsonObject& config, std::string_view key, int& out);

}  // namespace hearth::engine
