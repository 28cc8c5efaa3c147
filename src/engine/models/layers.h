// Loading what layers of several architectures have in common, and whole models.
#pragma once

#include <string>

#include "engine/model_spec.h"
#include "engine/models/weights.h"

namespace hearth::engine {

// "model.layers.3."
std::string layer_prefix(int layer);

// The rows of units of `width` rows each that a slice has, in a tensor that begins with them or, at
// row `first`, goes on with them.
Choice rows_of(Range units, int64_t width, int64_t first = 0);

// The norms before both halves of a layer.
Result<void> load_norms(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w);

// Q, K, V and O with the biases, norms and gates that the spec has.
Result<void> load_attention(WeightLoader& loader, const ModelSpec& spec, int layer,
                            LayerWeights& w);

// O alone.
Result<void> load_attention_output(WeightLoader& loader, const std::string& name,
                                   const ModelSpec& spec, LayerWeights& w);

// PREFIXgate_proj and so on: of a plain layer, and of the shared experts.
Result<void> load_feed_forward(WeightLoader& loader, const std::string& prefix,
                               const ModelSpec& spec, FeedForwardWeights& w);
Result<void> load_shared_experts(WeightLoader& loader, const std::string& prefix,
                                 const ModelSpec& spec, FeedForwardWeights& w);

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

// Of an expert's columns [experts, model's width], those that the slice has, side by side.
std::vector<float> own_columns(const std::vector<float>& all, const ModelSpec& spec,
                               const Slice& slice);

// All tensors of a shard, as far as they are in the loader's slice. Errors as WeightLoader's.
Result<void> collect_weights(WeightLoader& loader, const ModelSpec& spec, const Shard& shard,
                             Weights& weights);

}  // namespace hearth::engine
