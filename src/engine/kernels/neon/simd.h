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

// Four quantised activations are four high bytes, then four low bytes. Stores 16 of them, `stride`
// bytes from quad to quad.
HEARTH_SIMD void store_quads(std::byte* p, int64_t stride, I32x16 q) {
  const ByteHalves x = split(q);
  const int32x4_t high = vreinterpretq_s32_s8(x.high);
  const int32x4_t low = vreinterpretq_s32_s8(x.low);
  store_pair(p, stride, vzip1q_s32(high, low));
  store_pair(p + 2 * stride, stride, vzip2q_s32(high, low));
}

// Dot products of unsigned weight bytes and quantised activations, four columns at a time. The
// instruction takes signed bytes: where the largest, kMax, does not fit, 128 is taken off.
struct DotWeights {
  int8x16_t a, b, c, d;
};
constexpr int dot_taken_off(int max) { return max > 127 ? 128 : 0; }
template <int kMax>
HEARTH_SIMD DotWeights dot_weights(I32x16 x) {
  if constexpr (dot_taken_off(kMax) != 0) {
    x = bytes([](auto x) { return veorq_u8(x, vdupq_n_u8(dot_taken_off(kMax))); }, x);
  }
  return {vreinterpretq_s8_s32(x.a), vreinterpretq_s8_s32(x.b), vreinterpretq_s8_s32(x.c),
          vreinterpretq_s8_s32(x.d)};
}
// In two sweeps over the quads of a unit of columns, of the high bytes and then of the low ones;
constexpr int kDotSweeps = 2;
template <int kSweep>
struct DotActivations {
  int8x8_t quad;
};
template <int kSweep>
HEARTH_SIMD DotActivations<kSweep> dot_activations(const std::byte* quad) {
  return {vld1_s8(reinterpret_cast<const int8_t*>(quad))};
}
template <int kSweep>
HEARTH_SIMD I32x16 dot_sweep(I32x16 sum, const DotWeights& weights, DotActivations<kSweep> x) {
  sum =
      ints([&](auto sum, auto w) { return vdotq_lane_s32(sum, w, x.quad, kSweep); }, sum, weights);
  // Otherwise GCC begins with the products of all quads, more than there are registers for,
  asm("" : "+w"(sum.a), "+w"(sum.b), "+w"(sum.c), "+w"(sum.d));
  return sum;
}
HEARTH_SIMD I32x16 dot_next_sweep(I32x16 sum) {
  return ints([](auto sum) { return vshlq_n_s32(sum, 7); }, sum);
}
// or in one, with two sums.
struct DotSum {
  I32x16 high, low;
};
HEARTH_SIMD DotSum dot_start(int32_t value) { return {zero_int(), set1_int(value)}; }
HEARTH_SIMD DotSum dot_step(DotSum sum, const DotWeights& weights, const std::byte* quad) {
  return {dot_sweep(sum.high, weights, dot_activations<0>(quad)),
          dot_sweep(sum.low, weights, dot_activations<1>(quad))};
}
HEARTH_SIMD I32x16 dot_finish(DotSum sum) {
  return ints([](auto high, auto low) { return vmlaq_n_s32(low, high, 128); }, sum.high, sum.low);
}

HEARTH_SIMD void store_weights(std::byte* p, const DotWeights& w) {
  auto* to = reinterpret_cast<int8_t*>(p);
  vst1q_s8(to, w.a);
  vst1q_s8(to + 16, w.b);
  vst1q_s8(to + 32, w.c);
  vst1q_s8(to + 48, w.d);
}
HEARTH_SIMD DotWeights load_weights(const std::byte* p) {
  const auto* from = reinterpret_cast<const int8_t*>(p);
  DotWeights w{vld1q_s8(from), vld1q_s8(from + 16), vld1q_s8(from + 32), vld1q_s8(from + 48)};
  asm("" : "+w"(w.a), "+w"(w.b), "+w"(w.c), "+w"(w.d));  // and loads weights anew for every row
  return w;
}

}  // namespace
}  // namespace hearth::engine::kernels::neon
