// Sixteen lanes on NEON with dot products of bytes (FEAT_DotProd).
#pragma once

#define HEARTH_ISA_NAMESPACE neon

#include "engine/kernels/neon/lanes.h"

namespace hearth::engine::kernels::neon {
namespace {

constexpr int kQuantRows = 3;  // each needs eight registers for its sums

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
struct DotSum {
  I32x16 high, low;
};
HEARTH_SIMD DotSum dot_start(int32_t value) {
  const int32x4_t none = vdupq_n_s32(0);
  const int32x4_t start = vdupq_n_s32(value);
  return {{none, none, none, none}, {start, start, start, start}};
}
template <int kHalf>
HEARTH_SIMD I32x16 dot_half(I32x16 sum, const DotWeights& weights, int8x8_t quad) {
  return ints([&](auto sum, auto w) { return vdotq_lane_s32(sum, w, quad, kHalf); }, sum, weights);
}
HEARTH_SIMD DotSum dot_step(DotSum sum, const DotWeights& weights, const std::byte* quad) {
  const int8x8_t halves = vld1_s8(reinterpret_cast<const int8_t*>(quad));
  return {dot_half<0>(sum.high, weights, halves), dot_half<1>(sum.low, weights, halves)};
}
HEARTH_SIMD I32x16 dot_finish(DotSum sum) {
  return ints([](auto high, auto low) { return vmlaq_n_s32(low, high, 128); }, sum.high, sum.low);
}

}  // namespace
}  // namespace hearth::engine::kernels::neon
