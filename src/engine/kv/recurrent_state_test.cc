#include "engine/kv/recurrent_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace hearth::engine {
namespace {

constexpr int kLayers = 2;
constexpr int kSlots = 3;

DeltaNetSpec spec() {
  return {.key_heads = 2, .value_heads = 4, .key_dim = 3, .value_dim = 5, .kernel = 4};
}

TEST(RecurrentState, AsksForEveryNumberOnce) {
  // Of a layer and slot: four matrices of 3 x 5, and three inputs of 2 * 2 * 3 + 4 * 5 channels.
  EXPECT_EQ(spec().state_numbers(), 4 * 15 + 3 * 32);
  EXPECT_EQ(RecurrentState::bytes_wanted(spec(), kLayers, kSlots),
            kLayers * kSlots * (4 * 15 + 3 * 32) * 4);
}

TEST(RecurrentState, NothingIsShared) {
  const auto state = RecurrentState::create(spec(), kLayers, kSlots);
  ASSERT_TRUE(state.ok());
  struct Part {
    float* numbers;
    int count;
  };
  std::vector<Part> parts;
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int slot = 0; slot < kSlots; ++slot) {
      for (int head = 0; head < 4; ++head) parts.push_back({state->memory(layer, slot, head), 15});
      for (int channel = 0; channel < 12; channel += 3) {  // queries and keys
        parts.push_back({state->inputs(layer, slot, channel), 9});
      }
      for (int channel = 12; channel < 32; channel += 5) {  // values
        parts.push_back({state->inputs(layer, slot, channel), 15});
      }
    }
  }
  for (const Part& part : parts) {
    EXPECT_TRUE(
        std::all_of(part.numbers, part.numbers + part.count, [](float x) { return x == 0; }));
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    std::fill_n(parts[i].numbers, parts[i].count, static_cast<float>(i + 1));
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    EXPECT_TRUE(std::all_of(parts[i].numbers, parts[i].numbers + parts[i].count,
                            [&](float x) { return x == static_cast<float>(i + 1); }));
  }
}

}  // namespace
}  // namespace hearth::engine
