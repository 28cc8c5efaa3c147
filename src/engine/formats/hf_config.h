// config.json and generation_config.json to a ModelSpec.
// Sources: https://huggingface.co/docs/transformers/model_doc/{llama,qwen2,qwen3} and
// .../internal/rope_utils.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
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

}  // namespace hearth::engine
