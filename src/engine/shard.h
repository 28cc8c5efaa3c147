// The part of a model that one rank holds.
#pragma once

namespace hearth::engine {

// Layers [layer_begin, layer_end). The stage with layer 0 also holds the embedding; the stage with
// the last layer also holds the final norm and the head.
struct Shard {
  int layer_begin = 0;
  int layer_end = 0;

  int layers() const { return layer_end - layer_begin; }
  bool first() const { return layer_begin == 0; }
  bool last(int model_layers) const { return layer_end == model_layers; }
};

}  // namespace hearth::engine
