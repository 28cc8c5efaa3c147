// The mixture of experts of DeepSeek-V3 (https://arxiv.org/abs/2412.19437, section 2.1.2), which
// GLM-4.5 has too: sigmoid scores, a bias that only chooses, groups, shared experts, and plain
// layers first.
#pragma once

#include "engine/formats/json.h"
#include "engine/models/weights.h"

namespace hearth::engine {

// n_routed_experts and its companions into spec.moe.
Result<void> read_deepseek_experts(const JsonObject& config, ModelSpec& spec);

// The feed-forward half of a layer, plain or sparse.
Result<void> load_deepseek_feed_forward(WeightLoader& loader, const ModelSpec& spec, int layer,
                                        LayerWeights& w);

}  // namespace hearth::engine
