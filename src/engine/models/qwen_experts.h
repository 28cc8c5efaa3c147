// The mixture of experts as the Qwen models write it.
#pragma once

#include "engine/formats/json.h"
#include "engine/models/weights.h"

namespace hearth::engine {

// num_experts and its companions into spec.moe.
Result<void> read_qwen_experts(const JsonObject& config, ModelSpec& spec);

// Router and experts of a sparse layer, and the shared expert with its gate if there is one.
Result<void> load_qwen_experts(WeightLoader& loader, const ModelSpec& spec, int layer,
                               MixtureWeights& w);

}  // namespace hearth::engine
