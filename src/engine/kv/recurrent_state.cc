#include "engine/kv/recurrent_state.h"

#include <string>
#include <utility>

namespace hearth::engine {

int64_t RecurrentState::bytes_wanted(const DeltaNetSpec& spec, int layers, int slots) {
  return spec.state_numbers() * layers * slots * static_cast<int64_t>(sizeof(float));
}

Result<RecurrentState> RecurrentState::create(const DeltaNetSpec& spec, int layers, int slots) {
  Result<Buffer> buffer = Buffer::allocate(bytes_wanted(spec, layers, slots));
  if (!buffer.ok()) {
    return buffer.error().context("states of " + std::to_string(slots) + " sequences");
  }
  return RecurrentState(spec, slots, *std::move(buffer));
}

RecurrentState::RecurrentState(const DeltaNetSpec& spec, int slots, Buffer buffer)
    : head_numbers_(int64_t{spec.key_dim} * spec.value_dim),
      heads_(spec.value_heads),
      history_(spec.kernel - 1),
      slot_numbers_(spec.state_numbers()),
      slots_(slots),
      buffer_(std::move(buffer)) {}

float* RecurrentState::of_slot(int layer, int slot) const {
  return reinterpret_cast<float*>(buffer_.data()) +
         (int64_t{layer} * slots_ + slot) * slot_numbers_;
}

float* RecurrentState::memory(int layer, int slot, int head) const {
  return of_slot(layer, slot) + head * head_numbers_;
}

float* RecurrentState::inputs(int layer, int slot, int64_t channel) const {
  return of_slot(layer, slot) + heads_ * head_numbers_ + channel * history_;
}

}  // namespace hearth::engine
