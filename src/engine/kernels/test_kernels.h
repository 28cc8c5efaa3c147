// What tests of kernels share: a fixture for each instruction set, and arrays that notice when
// something writes beside them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/kernels/kernels.h"
#if defined(__x86_64__)
#include "engine/kernels/amx/testing/emulator.h"
#endif

namespace hearth::engine::kernels {

inline const Kernels& reference() { return *isas().back().kernels; }

class KernelsTest : public testing::TestWithParam<const Isa*> {
 protected:
  const Kernels& kernels() const { return *GetParam()->kernels; }

  std::vector<float> random(int64_t n, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(n);
    for (float& value : values) value = normal(engine_);
    return values;
  }
  std::mt19937 engine_{1};
};

inline std::vector<const Isa*> faster_than_scalar() {
  std::vector<const Isa*> list;
  for (const Isa& isa : isas()) {
    if (isa.supported() && isa.kernels != isas().back().kernels) list.push_back(&isa);
  }
  return list;
}

// Lets instruction sets with slabs run while it lives, where the rest of what they need is there.
#if defined(__x86_64__)
using SlabEmulation = AmxEmulation;
#else
struct SlabEmulation {
  SlabEmulation() {}
};
#endif

inline std::vector<const Isa*> with_slabs() {
  const SlabEmulation emulation;
  std::vector<const Isa*> list;
  for (const Isa& isa : isas()) {
    if (isa.slabs != nullptr && isa.supported()) list.push_back(&isa);
  }
  return list;
}

// The suffix of a test's name.
inline std::string isa_name(const testing::TestParamInfo<const Isa*>& info) {
  return std::string(info.param->name);
}

inline void expect_near(const std::vector<float>& actual, const std::vector<float>& expected,
                        float tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + std::fabs(expected[i]))) << "at " << i;
  }
}

// Copies of `values` that start `misalign` floats past an aligned address, with guards around.
class Misaligned {
 public:
  Misaligned(const std::vector<float>& values, int misalign)
      : size_(values.size()), offset_(16 + misalign), memory_(size_ + 64, kGuard) {
    std::copy(values.begin(), values.end(), memory_.begin() + offset_);
  }
  float* data() { return memory_.data() + offset_; }
  std::vector<float> values() const {
    return {memory_.begin() + offset_, memory_.begin() + offset_ + size_};
  }
  bool guards_intact() const {
    for (size_t i = 0; i < memory_.size(); ++i) {
      if ((i < offset_ || i >= offset_ + size_) && memory_[i] != kGuard) return false;
    }
    return true;
  }

 private:
  static constexpr float kGuard = 12345.0f;
  size_t size_;
  size_t offset_;
  std::vector<float> memory_;
};

// A quantised tile with room beyond its end.
struct QuantTile {
  QuantTile(int m, int64_t columns)
      : bytes(m * round_up(columns, kGroup) / 4 * kQuadBytes),
        scales(m * round_up(columns, kGroup) / kGroup),
        sums(2 * scales.size()) {}
  std::vector<std::byte> bytes;
  std::vector<float> scales;
  std::vector<int32_t> sums;
};

}  // namespace hearth::engine::kernels
