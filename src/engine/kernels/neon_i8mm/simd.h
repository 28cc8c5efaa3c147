// Sixteen lanes on NEON with products of matrices of bytes (FEAT_I8MM).
#pragma once

#define HEARTH_ISA_NAMESPACE neon_i8mm

#include "engine/kernels/neon/lanes.h"

namespace hearth::engine::kernels::neon_i8mm {
namespace {

// Rows that products take at once: each needs eight registers for its sums.
constexpr int kQuantRows = 3;
constexpr int kPanelRows = 3;
constexpr int kPanelBlocks = 1;

// Columns that a dot product multiplies at a time, and the bytes of as many activations.
constexpr int kStepColumns = 8;
constexpr int kStepBytes = 16;
// Eight quantised activations are eight high bytes, then eight low bytes. Stores 16 of them,
// `stride` bytes from eight to eight.
HEARTH_SIMD void store_steps(std::byte* p, int64_t stride, I32x16 q) {
  const ByteHalves x = split(q);
  const int64x2_t high = vreinterpretq_s64_s8(x.high);
  const int64x2_t low = vreinterpretq_s64_s8(x.low);
  vst1q_s64(reinterpret_cast<int64_t*>(p), vzip1q_s64(high, low));
  vst1q_s64(reinterpret_cast<int64_t*>(p + stride), vzip2q_s64(high, low));
}

// The instruction multiplies two rows of eight unsigned bytes with two of signed ones, all four
// pairs of them: weights of two outputs with the high and the low bytes of activations. A register
// of weights holds two outputs, and so does one of sums, where each has its high and its low sum.
struct DotWeights {
  I32x16 first, last;  // of outputs 0 .. 7, 8 .. 15
};
// Nothing is taken off the bytes, the largest of which is kMax.
constexpr int dot_taken_off(int) { return 0; }
template <int kMax>
HEARTH_SIMD DotWeights dot_weights(I32x16 x, I32x16 y) {
  return {{vzip1q_s32(x.a, y.a), vzip2q_s32(x.a, y.a), vzip1q_s32(x.b, y.b), vzip2q_s32(x.b, y.b)},
          {vzip1q_s32(x.c, y.c), vzip2q_s32(x.c, y.c), vzip1q_s32(x.d, y.d), vzip2q_s32(x.d, y.d)}};
}
HEARTH_SIMD void store_weights(std::byte* p, const DotWeights& weights) {
  store_int(p, weights.first);
  store_int(p + 64, weights.last);
}
HEARTH_SIMD DotWeights load_weights(const std::byte* p) {
  return {pin(load_int(p)), pin(load_int(p + 64))};
}

// One sweep over the steps of a unit of columns does it all.
constexpr int kDotSweeps = 1;
template <int>
HEARTH_SIMD int8x16_t dot_activations(const std::byte* step) {
  return vld1q_s8(reinterpret_cast<const int8_t*>(step));
}
struct DotSum {
  I32x16 first, last;
};
HEARTH_SIMD DotSum dot_start(int32_t value) {
  const int32x4_t low = vzip1q_s32(vdupq_n_s32(0), vdupq_n_s32(value));
  return {{low, low, low, low}, {low, low, low, low}};
}
HEARTH_SIMD I32x16 dot_half(I32x16 sum, I32x16 weights, int8x16_t x) {
  const auto dot = [&](auto sum, auto w) { return vusmmlaq_s32(sum, vreinterpretq_u8_s32(w), x); };
  return pin(ints(dot, sum, weights));
}
HEARTH_SIMD DotSum dot_sweep(DotSum sum, const DotWeights& weights, int8x16_t x) {
  return {dot_half(sum.first, weights.first, x), dot_half(sum.last, weights.last, x)};
}
HEARTH_SIMD DotSum dot_step(DotSum sum, const DotWeights& weights, const std::byte* step) {
  return dot_sweep(sum, weights, dot_activations<0>(step));
}
HEARTH_SIMD I32x16 dot_finish(DotSum sum) {
  const auto four = [](int32x4_t x, int32x4_t y) {
    return vmlaq_n_s32(vuzp2q_s32(x, y), vuzp1q_s32(x, y), 128);
  };
  return {four(sum.first.a, sum.first.b), four(sum.first.c, sum.first.d),
          four(sum.last.a, sum.last.b), four(sum.last.c, sum.last.d)};
}
using SweepSum = DotSum;
HEARTH_SIMD SweepSum sweep_start() { return dot_start(0); }
HEARTH_SIMD I32x16 sweep_finish(SweepSum sum) { return dot_finish(sum); }

}  // namespace
}  // namespace hearth::engine::kernels::neon_i8mm
