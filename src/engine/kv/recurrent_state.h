// What layers of linear attention keep of every sequence that a rank serves: a state of fixed size,
// in float32. It cannot go back: a sequence starts anew at position 0 or goes on at its end.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "engine/model_spec.h"
#include "engine/tensor/buffer.h"

namespace hearth::engine {

// Memory is taken when it is first written. Different heads and channels may be used by different
// threads at once.
class RecurrentState {
 public:
  // For `layers` linear layers and `slots` sequences. kResourceExhausted names the bytes.
  static Result<RecurrentState> create(const DeltaNetSpec& spec, int layers, int slots);

  // Bytes that create() would ask for.
  static int64_t bytes_wanted(const DeltaNetSpec& spec, int layers, int slots);

  // `layer` counts linear layers.
  // S [key_dim, value_dim] of a value head.
  float* memory(int layer, int slot, int head) const;
  // The last kernel - 1 inputs of `width` neighbouring channels that are always used together,
  // oldest first. [kernel - 1, width]
  float* inputs(int layer, int slot, int64_t channel) const;

 private:
  RecurrentState(const DeltaNetSpec& spec, int slots, Buffer buffer);

  float* of_slot(int layer, int slot) const;

  int64_t head_numbers_;  // of a value head's S
  int64_t heads_;         // value heads
  int64_t history_;       // inputs kept of each channel
  int64_t slot_numbers_;  // of a layer and slot
  int slots_;
  Buffer buffer_;
};

}  // namespace hearth::engine
