// What differs between architectures: which tensors a layer has, and what it does with them.
// A new architecture is one file like llama.cc, an entry in architecture.cc, and its test.
#pragma once

#include "engine/model_spec.h"
#include "engine/models/pass.h"
#include "engine/models/weights.h"

namespace hearth::engine {

struct ArchitectureCode {
  // Names the layer's tensors to the loader.
  Result<void> (*load_layer)(WeightLoader& loader, const ModelSpec& spec, int layer,
                             LayerWeights& weights);
  // x [rows, hidden] -> x. `layer` counts from the shard's first. Ends with a barrier.
  void (*run_layer)(Pass& pass, const LayerWeights& weights, int layer);
};

extern const ArchitectureCode kLlama;
extern const ArchitectureCode kQwen2;
extern const ArchitectureCode kQwen3;

const ArchitectureCode& code_of(Architecture architecture);

// "model.layers.3."
std::string layer_prefix(int layer);

// The tensors that all three have: norms, projections, feed-forward.
Result<void> load_decoder_layer(WeightLoader& loader, const ModelSpec& spec, int layer,
                                LayerWeights& weights);

}  // namespace hearth::engine
