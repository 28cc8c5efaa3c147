// Sixteen lanes on NEON with dot products of bytes (FEAT_DotProd).
#pragma once

#define HEARTH_ISA_NAMESPACE neon

#include "engine/kernels/neon/lanes.h"

namespace hearth::engine::kernels::neon {
namespace {

// Rows that products take at once: each needs eight registers for its sums, in panels four.
constexpr int kQuantRows = 3;
constexpr int kPanelRows = 4;
constexpr int kPanelBlocks = 1;

// Columns that a dot product multiplies at a time, and the bytes of as many activations.
constexpr int kStepColumns = 4;
constexpr int kStepBytes = 8;
// Four quantised activations are four high bytes, then four low bytes. Stores 16 of them, `stride`
// bytes from four to four.
HEARTH_SIMD void store_steps(std::byte* p, int64_t stride, I32x16 q) {
  const ByteHalves x = split(q);
  const int32x4_t high = vreinterpretq_s32_s8(x.high);
  const int32x4_t low = vreinterpretq_s32_s8(x.low);
  const auto store = [&](int step, int32x2_t four) {
    vst1_s32(reinterpret_cast<int32_t*>(p + step * stride), four);
  };
  const int32x4_t first = vzip1q_s32(high, low);
  const int32x4_t last = vzip2q_s32(high, low);
  store(0, vget_low_s32(first));
  store(1, vget_high_s32(first));
  store(2, vget_low_s32(last));
  store(3, vget_high_s32(last));
}

// Dot products of unsigned weight bytes and quantised activations, four columns at a time. The
// instruction takes signed bytes: where the largest, kMax, does not fit, 128 is taken off.
using DotWeights = I32x16;
constexpr int dot_taken_off(int max) { return max > 127 ? 128 : 0; }
template <int kMax>
HEARTH_SIMD DotWeights dot_weights(I32x16 x) {
  if constexpr (dot_taken_off(kMax) == 0) return x;
  return bytes([](auto x) { return veorq_u8(x, vdupq_n_u8(dot_taken_off(kMax))); }, x);
}
HEARTH_SIMD void store_weights(std::byte* p, DotWeights weights) { store_int(p, weights); }
HEARTH_SIMD DotWeights load_weights(const std::byte* p) { return pin(load_int(p)); }

// In two sweeps over the steps of a unit of columns, of the high bytes and then of the low ones;
constexpr int kDotSweeps = 2;
template <int kSweep>
struct DotActivations {
  int8x8_t both;
};
template <int kSweep>
HEARTH_SIMD DotActivations<kSweep> dot_activations(const std::byte* step) {
  return {vld1_s8(reinterpret_cast<const int8_t*>(step))};
}
using SweepSum = I32x16;
HEARTH_SIMD SweepSum sweep_start() { return zero_int(); }
template <int kSweep>
HEARTH_SIMD SweepSum dot_sweep(SweepSum sum, DotWeights weights, DotActivations<kSweep> x) {
  const auto dot = [&](auto sum, auto w) {
    return vdotq_lane_s32(sum, vreinterpretq_s8_s32(w), x.both, kSweep);
  };
  return pin(ints(dot, sum, weights));
}
HEARTH_SIMD SweepSum dot_next_sweep(SweepSum sum) {
  return ints([](auto sum) { return vshlq_n_s32(sum, 7); }, sum);
}
HEARTH_SIMD I32x16 sweep_finish(SweepSum sum) { return sum; }
// or in one, with two sums.
struct DotSum {
  I32x16 high, low;
};
HEARTH_SIMD DotSum dot_start(int32_t value) { return {zero_int(), set1_int(value)}; }
HEARTH_SIMD DotSum dot_step(DotSum sum, DotWeights weights, const std::byte* step) {
  return {dot_sweep(sum.high, weights, dot_activations<0>(step)),
          dot_sweep(sum.low, weights, dot_activations<1>(step))};
}
HEARTH_SIMD I32x16 dot_finish(DotSum sum) {
  return ints([](auto high, auto low) { return vmlaq_n_s32(low, high, 128); }, sum.high, sum.low);
}

}  // namespace
}  // namespace hearth::engine::kernels::neon
