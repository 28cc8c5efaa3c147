// The part of a model that one rank holds.
#pragma once

#include <vector>

namespace hearth::engine {

// Layers [layer_begin, layer_end). The stage with layer 0 also holds the embedding; the stage with
// the last layer also holds the final norm and the head.
//
// Ranks may share a stage: each holds a slice of every matrix in it, about in proportion to its
// share (models/slice.h says which). All that hold slices of one stage are a team and compute
// together.
struct Shard {
  int layer_begin = 0;
  int layer_end = 0;
  int slice = 0;               // in the team
  std::vector<double> shares;  // of the team's ranks, positive; empty: this rank is alone

  int layers() const { return layer_end - layer_begin; }
  bool first() const { return layer_begin == 0; }
  bool last(int model_layers) const { return layer_end == model_layers; }
  int slices() const { return shares.empty() ? 1 : static_cast<int>(shares.size()); }
};

}  // namespace hearth::engine
