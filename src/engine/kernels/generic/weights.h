// How the numbers of each packed encoding (layout.h) come into registers: as floats for float
// activations (Weights...), as unsigned bytes for quantised ones (Bytes...). Over simd.h, which is
// included first.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Bytes ahead of the weights in use: the distance that hides the memory's latency at full rate.
constexpr int kPrefetchBytes = 4096;

// Weights: load() gives kStep columns from column k on, for 16 rows; scale() what multiplies the
// kScaleColumns columns from k on (0: no scales).

struct WeightsF32 {
  static constexpr int kStep = 2;
  static constexpr int kScaleColumns = 0;
  HEARTH_SIMD void load(const std::byte* block, int64_t, int64_t k, F32x16 (&w)[kStep]) {
    const auto* at = reinterpret_cast<const float*>(block) + k * kBlockRows;
    prefetch(block + k * 64 + kPrefetchBytes);
    prefetch(block + k * 64 + 64 + kPrefetchBytes);
    w[0] = HEARTH_ISA_NAMESPACE::load(at);
    w[1] = HEARTH_ISA_NAMESPACE::load(at + kBlockRows);
  }
};

struct WeightsF16 {
  static constexpr int kStep = 2;
  static constexpr int kScaleColumns = 0;
  HEARTH_SIMD void load(const std::byte* block, int64_t, int64_t k, F32x16 (&w)[kStep]) {
    prefetch(block + k * 32 + kPrefetchBytes);
    w[0] = load_f16(block + k * 32);
    w[1] = load_f16(block + k * 32 + 32);
  }
};

struct WeightsBF16 {
  static constexpr int kStep = 2;
  static constexpr int kScaleColumns = 0;
  HEARTH_SIMD void load(const std::byte* block, int64_t, int64_t k, F32x16 (&w)[kStep]) {
    prefetch(block + k * 32 + kPrefetchBytes);
    load_bf16_pairs(block + k * 32, w[0], w[1]);
  }
};

// The four bytes, or their fields of the given position and width, of every dword as floats.
template <int kShift, int kMask>
HEARTH_SIMD void byte_floats(I32x16 bytes, F32x16* w) {
  w[0] = to_float(field<kShift, kMask>(bytes));
  w[1] = to_float(field<8 + kShift, kMask>(bytes));
  w[2] = to_float(field<16 + kShift, kMask>(bytes));
  w[3] = to_float(field<24 + kShift, kMask>(bytes));
}

struct WeightsQ8 {
  static constexpr int kStep = 4;
  static constexpr int kScaleColumns = kGroup;
  HEARTH_SIMD void load(const std::byte* block, int64_t, int64_t k, F32x16 (&w)[kStep]) {
    byte_floats<0, 255>(load_int(block + k * 16), w);
    for (F32x16& x : w) x = sub(x, set1(128));
  }
  HEARTH_SIMD F32x16 scale(const std::byte* block, int64_t columns, int64_t k) {
    return load_f16(block + columns * 16 + k);
  }
};

struct WeightsQ4 {
  static constexpr int kStep = 8;
  static constexpr int kScaleColumns = kGroup;
  HEARTH_SIMD void load(const std::byte* block, int64_t, int64_t k, F32x16 (&w)[kStep]) {
    const I32x16 bytes = load_int(block + k * 8);
    byte_floats<0, 15>(bytes, w);
    byte_floats<4, 15>(bytes, w + 4);
    for (F32x16& x : w) x = sub(x, set1(8));
  }
  HEARTH_SIMD F32x16 scale(const std::byte* block, int64_t columns, int64_t k) {
    return load_f16(block + columns * 8 + k);
  }
};

struct WeightsQ6 {
  static constexpr int kStep = kHalfGroup;
  static constexpr int kScaleColumns = kHalfGroup;
  HEARTH_SIMD void load(const std::byte* block, int64_t columns, int64_t k, F32x16 (&w)[kStep]) {
    const I32x16 first = load_int(block + k * 8);
    const I32x16 last = load_int(block + k * 8 + 64);
    const I32x16 high_bits = load_int(block + columns * 8 + k * 4);
    byte_floats<0, 15>(first, w);
    byte_floats<4, 15>(first, w + 4);
    byte_floats<0, 15>(last, w + 8);
    byte_floats<4, 15>(last, w + 12);
    F32x16 high[kStep];
    byte_floats<0, 3>(high_bits, high);
    byte_floats<2, 3>(high_bits, high + 4);
    byte_floats<4, 3>(high_bits, high + 8);
    byte_floats<6, 3>(high_bits, high + 12);
    for (int i = 0; i < kStep; ++i) w[i] = fma(high[i], set1(16), sub(w[i], set1(32)));
  }
  HEARTH_SIMD F32x16 scale(const std::byte* block, int64_t columns, int64_t k) {
    const std::byte* scales = block + columns * 12;
    return mul(load_int8(scales + k), load_f16(scales + columns + k / 256 * 32));
  }
};

// Bytes: add_half<kHalf>() adds the products of half a group, 16 columns, to the sums of kRows rows
// whose activations lie side by side at `x`, x_stride rows to a column. The bytes are the weights
// plus kOffset.

// Four columns, whose bytes are `bytes`, times kRows rows.
template <int kRows>
HEARTH_SIMD void add_quad(I32x16 bytes, const std::byte* x, DotSum (&sums)[kRows]) {
  const DotWeights w = dot_weights(bytes);
  for (int i = 0; i < kRows; ++i) sums[i] = dot_step(sums[i], w, x + i * kQuadBytes);
}

struct BytesQ8 {
  static constexpr int kOffset = 128;
  static constexpr bool kHalfScaled = false;
  template <int kHalf, int kRows>
  HEARTH_SIMD void add_half(const std::byte* block, int64_t, int64_t group, const std::byte* x,
                            int64_t x_stride, DotSum (&sums)[kRows]) {
    const std::byte* at = block + (group * 2 + kHalf) * 256;
    for (int quad = 0; quad < 4; ++quad) {
      prefetch(at + quad * 64 + kPrefetchBytes);
      add_quad<kRows>(load_int(at + quad * 64), x + quad * x_stride * kQuadBytes, sums);
    }
  }
  HEARTH_SIMD F32x16 group_scale(const std::byte* block, int64_t columns, int64_t group) {
    return load_f16(block + columns * 16 + group * 32);
  }
};

struct BytesQ4 {
  static constexpr int kOffset = 8;
  static constexpr bool kHalfScaled = false;
  template <int kHalf, int kRows>
  HEARTH_SIMD void add_half(const std::byte* block, int64_t, int64_t group, const std::byte* x,
                            int64_t x_stride, DotSum (&sums)[kRows]) {
    const std::byte* at = block + (group * 2 + kHalf) * 128;
    for (int pair = 0; pair < 2; ++pair) {
      prefetch(at + pair * 64 + kPrefetchBytes);
      const I32x16 bytes = load_int(at + pair * 64);
      const std::byte* quads = x + 2 * pair * x_stride * kQuadBytes;
      add_quad<kRows>(byte_field<0, 15>(bytes), quads, sums);
      add_quad<kRows>(byte_field<4, 15>(bytes), quads + x_stride * kQuadBytes, sums);
    }
  }
  HEARTH_SIMD F32x16 group_scale(const std::byte* block, int64_t columns, int64_t group) {
    return load_f16(block + columns * 8 + group * 32);
  }
};

struct BytesQ6 {
  static constexpr int kOffset = 32;
  static constexpr bool kHalfScaled = true;
  template <int kHalf, int kRows>
  HEARTH_SIMD void add_half(const std::byte* block, int64_t columns, int64_t group,
                            const std::byte* x, int64_t x_stride, DotSum (&sums)[kRows]) {
    const std::byte* low = block + (group * 2 + kHalf) * 128;
    const std::byte* high = block + columns * 8 + (group * 2 + kHalf) * 64;
    prefetch(low + kPrefetchBytes);
    prefetch(low + 64 + kPrefetchBytes);
    prefetch(high + kPrefetchBytes);
    const I32x16 first = load_int(low);
    const I32x16 last = load_int(low + 64);
    const I32x16 bits = load_int(high);
    const int64_t next = x_stride * kQuadBytes;
    add_quad<kRows>(either(byte_field<0, 15>(first), byte_field<-4, 48>(bits)), x, sums);
    add_quad<kRows>(either(byte_field<4, 15>(first), byte_field<-2, 48>(bits)), x + next, sums);
    add_quad<kRows>(either(byte_field<0, 15>(last), byte_field<0, 48>(bits)), x + 2 * next, sums);
    add_quad<kRows>(either(byte_field<4, 15>(last), byte_field<2, 48>(bits)), x + 3 * next, sums);
  }
  HEARTH_SIMD F32x16 half_scale(const std::byte* block, int64_t columns, int64_t half) {
    return load_int8(block + columns * 12 + half * kBlockRows);
  }
  HEARTH_SIMD F32x16 group_scale(const std::byte* block, int64_t columns, int64_t group) {
    return load_f16(block + columns * 13 + group / 8 * 32);
  }
};

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
