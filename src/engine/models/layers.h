// Loading what layers of several architectures have in common, and whole models.
#pragma once

#include <string>

#include "engine/model_spec.h"
#include "engine/models/weights.h"

namespace hearth::engine {

// "model.layers.3."
std::string layer_prefix(int layer);

// The norms before both halves of a layer.
Result<void> load_norms(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w);

// Q, K, V and O with the biases, norms and gates that the spec has.
Result<void> load_attention(WeightLoader& loader, const ModelSpec& spec, int layer,
                            LayerWeights& w);

// PREFIXgate_proj and so on, of `width`.
Result<void> load_feed_forward(WeightLoader& loader, const std::string& prefix, int64_t hidden,
                               int64_t width, FeedForwardWeights& w);

// What the matrices of an expert are called.
struct ExpertNames {
  const char* gate = "gate_proj.weight";
  const char* up = "up_proj.weight";
  const char* down = "down_proj.weight";
};

// The experts PREFIX0.gate_proj and so on; or each kind stacked in one tensor, gate and up together
// or apart.
Result<void> load_experts(WeightLoader& loader, const std::string& prefix, const ModelSpec& spec,
                          MixtureWeights& w, const ExpertNames& names = {});

// All tensors of a shard. Errors as WeightLoader's.
Result<void> collect_weights(WeightLoader& loader, const ModelSpec& spec, const Shard& shard,
                             Weights& weights);

}  // namespace hearth::engine
