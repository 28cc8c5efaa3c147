// Sixteen lanes on AArch64's Advanced SIMD: four registers. The generic kernels are written over
// these names, as for avx2 and avx512; how integers are multiplied is in the simd.h that includes
// this file. Everything is forced inline and has internal linkage (see layout.h).
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/layout.h"

#define HEARTH_INLINE inline __attribute__((always_inline))
#define HEARTH_SIMD static HEARTH_INLINE
#define HEARTH_UNROLL _Pragma("GCC unroll 8")

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

struct F32x16 {
  float32x4_t a, b, c, d;  // lanes 0 .. 3, 4 .. 7, 8 .. 11, 12 .. 15
};
struct I32x16 {
  int32x4_t a, b, c, d;
};

// Rows that the inner loops of float products take at once: as many as the 32
// registers hold.
constexpr int kFloatRows = 4;
constexpr bool kFloatPairs = false;
constexpr bool kQuantPairs = false;
// Rows of pairs times vectors of pairs that attention multiplies at once.
constexpr int kPairRows = 4;
constexpr int kPairVectors = 1;

// f(a register of x, the same of y, ...), for all four
template <class F, class... X>
HEARTH_SIMD F32x16 floats(F f, const X&... x) {
  return {f(x.a...), f(x.b...), f(x.c...), f(x.d...)};
}
template <class F, class... X>
HEARTH_SIMD I32x16 ints(F f, const X&... x) {
  return {f(x.a...), f(x.b...), f(x.c...), f(x.d...)};
}

HEARTH_SIMD F32x16 set1(float x) {
  const float32x4_t all = vdupq_n_f32(x);
  return {all, all, all, all};
}
HEARTH_SIMD F32x16 zero() { return set1(0); }
HEARTH_SIMD F32x16 load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
HEARTH_SIMD void store(float* p, F32x16 x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
// The first n lanes, n > 0; loaded lanes beyond are zero, stored ones are left alone.
HEARTH_SIMD F32x16 load_first(const float* p, int64_t n) {
  if (n >= 16) return load(p);
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
HEARTH_SIMD void store_first(float* p, F32x16 x, int64_t n) {
  if (n >= 16) return store(p, x);
  float lanes[16];
  store(lanes, x);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
// The first n lanes of x, the rest of y.
HEARTH_SIMD F32x16 merge_first(F32x16 x, F32x16 y, int64_t n) {
  constexpr int32_t kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const I32x16 lanes{vld1q_s32(kLanes), vld1q_s32(kLanes + 4), vld1q_s32(kLanes + 8),
                     vld1q_s32(kLanes + 12)};
  const int32x4_t end = vdupq_n_s32(n > 16 ? 16 : static_cast<int32_t>(n));
  return floats([&](auto x, auto y, auto lane) { return vbslq_f32(vcltq_s32(lane, end), x, y); }, x,
                y, lanes);
}

HEARTH_SIMD F32x16 add(F32x16 x, F32x16 y) {
  return floats([](auto x, auto y) { return vaddq_f32(x, y); }, x, y);
}
HEARTH_SIMD F32x16 sub(F32x16 x, F32x16 y) {
  return floats([](auto x, auto y) { return vsubq_f32(x, y); }, x, y);
}
HEARTH_SIMD F32x16 mul(F32x16 x, F32x16 y) {
  return floats([](auto x, auto y) { return vmulq_f32(x, y); }, x, y);
}
HEARTH_SIMD F32x16 div(F32x16 x, F32x16 y) {
  return floats([](auto x, auto y) { return vdivq_f32(x, y); }, x, y);
}
// Of a number and NaN, the number.
HEARTH_SIMD F32x16 max(F32x16 x, F32x16 y) {
  return floats([](auto x, auto y) { return vmaxnmq_f32(x, y); }, x, y);
}
HEARTH_SIMD F32x16 min(F32x16 x, F32x16 y) {
  return floats([](auto x, auto y) { return vminnmq_f32(x, y); }, x, y);
}
HEARTH_SIMD F32x16 abs(F32x16 x) {
  return floats([](auto x) { return vabsq_f32(x); }, x);
}
// x * y + z, rounded once
HEARTH_SIMD F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  return floats([](auto x, auto y, auto z) { return vfmaq_f32(z, x, y); }, x, y, z);
}
HEARTH_SIMD F32x16 round(F32x16 x) {
  return floats([](auto x) { return vrndnq_f32(x); }, x);
}
// x * 2^n, n an integer for which 2^n is a normal number
HEARTH_SIMD F32x16 scale2(F32x16 x, F32x16 n) {
  const auto scale = [](auto x, auto n) {
    const int32x4_t exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
    return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
  };
  return floats(scale, x, n);
}
HEARTH_SIMD float reduce_add(F32x16 x) {
  return vaddvq_f32(vaddq_f32(vaddq_f32(x.a, x.b), vaddq_f32(x.c, x.d)));
}
HEARTH_SIMD float reduce_max(F32x16 x) {
  return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(x.a, x.b), vmaxnmq_f32(x.c, x.d)));
}
HEARTH_SIMD float square_root(float x) { return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0); }

HEARTH_SIMD I32x16 load_int(const std::byte* p) {
  const auto at = [p](int i) {
    return vreinterpretq_s32_u8(vld1q_u8(reinterpret_cast<const uint8_t*>(p) + 16 * i));
  };
  return {at(0), at(1), at(2), at(3)};
}
HEARTH_SIMD void store_int(std::byte* p, I32x16 x) {
  auto* at = reinterpret_cast<int32_t*>(p);
  vst1q_s32(at, x.a);
  vst1q_s32(at + 4, x.b);
  vst1q_s32(at + 8, x.c);
  vst1q_s32(at + 12, x.d);
}
// x, which GCC can then neither make at another place nor load twice. It would do both until the
// registers run out.
HEARTH_SIMD I32x16 pin(I32x16 x) {
  asm("" : "+w"(x.a), "+w"(x.b), "+w"(x.c), "+w"(x.d));
  return x;
}
// 16 numbers of 16 bits, eight a register
struct U16x16 {
  uint16x8_t low, high;
};
HEARTH_SIMD U16x16 load_16(const std::byte* p) {
  const auto* at = reinterpret_cast<const uint8_t*>(p);
  return {vreinterpretq_u16_u8(vld1q_u8(at)), vreinterpretq_u16_u8(vld1q_u8(at + 16))};
}
// 16 halves
HEARTH_SIMD F32x16 load_f16(const std::byte* p) {
  const U16x16 x = load_16(p);
  const float16x8_t low = vreinterpretq_f16_u16(x.low);
  const float16x8_t high = vreinterpretq_f16_u16(x.high);
  return {vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low), vcvt_f32_f16(vget_low_f16(high)),
          vcvt_high_f32_f16(high)};
}
// 16 pairs of bfloat16
HEARTH_SIMD void load_bf16_pairs(const std::byte* p, F32x16& low, F32x16& high) {
  const I32x16 pairs = load_int(p);
  low = floats([](auto x) { return vreinterpretq_f32_s32(vshlq_n_s32(x, 16)); }, pairs);
  high = floats([](auto x) { return vreinterpretq_f32_s32(vandq_s32(x, vdupq_n_s32(-65536))); },
                pairs);
}

HEARTH_SIMD I32x16 to_int(F32x16 x) {  // to nearest
  return ints([](auto x) { return vcvtnq_s32_f32(x); }, x);
}
HEARTH_SIMD F32x16 to_float(I32x16 x) {
  return floats([](auto x) { return vcvtq_f32_s32(x); }, x);
}
template <int kBits, int kMask>
HEARTH_SIMD I32x16 field(I32x16 x) {  // (x >> kBits) & kMask
  const auto shifted = [](auto x) {
    if constexpr (kBits == 0) return x;
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(x), kBits ? kBits : 1));
  };
  return ints([&](auto x) { return vandq_s32(shifted(x), vdupq_n_s32(kMask)); }, x);
}
HEARTH_SIMD I32x16 set1_int(int32_t x) {
  const int32x4_t all = vdupq_n_s32(x);
  return {all, all, all, all};
}
HEARTH_SIMD I32x16 zero_int() { return set1_int(0); }
HEARTH_SIMD I32x16 add(I32x16 x, I32x16 y) {
  return ints([](auto x, auto y) { return vaddq_s32(x, y); }, x, y);
}
HEARTH_SIMD int reduce_add(I32x16 x) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(x.a, x.b), vaddq_s32(x.c, x.d)));
}
HEARTH_SIMD void prefetch(const std::byte* p) { __builtin_prefetch(p); }
// Into the second-level cache.
HEARTH_SIMD void prefetch_far(const std::byte* p) { __builtin_prefetch(p, 0, 2); }

// 16 bytes, signed and unsigned
// Pairs of 16-bit integers: one for all lanes; 16 of them from 32 signed bytes; sum + the dot
// product of each lane's pairs.
HEARTH_SIMD I32x16 set1_pair(const int16_t* pair) {
  int32_t both;
  __builtin_memcpy(&both, pair, sizeof both);
  return set1_int(both);
}
HEARTH_SIMD I32x16 load_i8_pairs(const std::byte* p) {
  const auto* at = reinterpret_cast<const int8_t*>(p);
  const auto pairs = [](const int8_t* eight) {
    return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(eight)));
  };
  return {pairs(at), pairs(at + 8), pairs(at + 16), pairs(at + 24)};
}
HEARTH_SIMD I32x16 dot_pairs(I32x16 sum, I32x16 x, I32x16 y) {
  return ints(
      [](int32x4_t s, int32x4_t a, int32x4_t b) {
        const int16x8_t a16 = vreinterpretq_s16_s32(a);
        const int16x8_t b16 = vreinterpretq_s16_s32(b);
        return vaddq_s32(s, vpaddq_s32(vmull_s16(vget_low_s16(a16), vget_low_s16(b16)),
                                       vmull_high_s16(a16, b16)));
      },
      sum, x, y);
}
HEARTH_SIMD I32x16 load_i8(const std::byte* p) {
  const int8x16_t x = vld1q_s8(reinterpret_cast<const int8_t*>(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(x));
  const int16x8_t high = vmovl_high_s8(x);
  return {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)),
          vmovl_high_s16(high)};
}
HEARTH_SIMD I32x16 widen(U16x16 x) {
  return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(x.low))),
          vreinterpretq_s32_u32(vmovl_high_u16(x.low)),
          vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(x.high))),
          vreinterpretq_s32_u32(vmovl_high_u16(x.high))};
}
HEARTH_SIMD I32x16 load_u8(const std::byte* p) {
  const uint8x16_t x = vld1q_u8(reinterpret_cast<const uint8_t*>(p));
  return widen({vmovl_u8(vget_low_u8(x)), vmovl_high_u8(x)});
}
// x << kBits, as the bits of floats
template <int kBits>
HEARTH_SIMD F32x16 float_bits(I32x16 x) {
  return floats([](auto x) { return vreinterpretq_f32_s32(vshlq_n_s32(x, kBits)); }, x);
}
// 16 bfloat16
HEARTH_SIMD F32x16 load_bf16(const std::byte* p) { return float_bits<16>(widen(load_16(p))); }
// The FP8 E4M3 number in byte kByte of every dword: sign, exponent and mantissa go to their places
// in a float, whose exponent is then 120 too small. The two NaNs come out as +-480.
template <int kByte>
HEARTH_SIMD F32x16 e4m3_floats(I32x16 x) {
  const auto convert = [](auto x) {
    const int32x4_t top = vshrq_n_s32(vshlq_n_s32(x, 24 - 8 * kByte), 4);
    const int32x4_t bits = vandq_s32(top, vdupq_n_s32(static_cast<int>(0x87f00000)));
    return vmulq_n_f32(vreinterpretq_f32_s32(bits), 0x1p120f);
  };
  return floats(convert, x);
}
// f of every byte
template <class F>
HEARTH_SIMD I32x16 bytes(F f, I32x16 x) {
  return ints([&](auto x) { return vreinterpretq_s32_u8(f(vreinterpretq_u8_s32(x))); }, x);
}
// Of every byte, below 16: table[byte]
HEARTH_SIMD I32x16 lookup(const uint8_t (&table)[16], I32x16 x) {
  const uint8x16_t entries = vld1q_u8(table);
  return bytes([&](auto x) { return vqtbl1q_u8(entries, x); }, x);
}
// 16 signed 16-bit integers, clamped to their range.
HEARTH_SIMD void store_int16(int16_t* p, I32x16 x) {
  vst1q_s16(p, vqmovn_high_s32(vqmovn_s32(x.a), x.b));
  vst1q_s16(p + 8, vqmovn_high_s32(vqmovn_s32(x.c), x.d));
}
// Of every byte: (x >> kShift) & kMask, or x << -kShift.
template <int kShift, int kMask>
HEARTH_SIMD I32x16 byte_field(I32x16 x) {
  const auto shifted = [](auto x) {
    if constexpr (kShift > 0) {
      return vshrq_n_u8(x, kShift);
    } else {
      return vshlq_n_u8(x, -kShift);
    }
  };
  // What shifts leave needs no mask.
  constexpr int kLeft = (kShift > 0 ? 0xff >> kShift : 0xff << -kShift) & 0xff;
  if constexpr (kMask == kLeft) return bytes(shifted, x);
  return bytes([&](auto x) { return vandq_u8(shifted(x), vdupq_n_u8(kMask)); }, x);
}
HEARTH_SIMD I32x16 either(I32x16 x, I32x16 y) {
  return ints([](auto x, auto y) { return vorrq_s32(x, y); }, x, y);
}

// Quantised activations are two signed bytes each, q = high * 128 + low: those of sixteen.
struct ByteHalves {
  int8x16_t high, low;
};
HEARTH_SIMD int8x16_t low_bytes(I32x16 x) {
  const int16x8_t first = vmovn_high_s32(vmovn_s32(x.a), x.b);
  const int16x8_t last = vmovn_high_s32(vmovn_s32(x.c), x.d);
  return vmovn_high_s16(vmovn_s16(first), last);
}
HEARTH_SIMD ByteHalves split(I32x16 q) {
  const I32x16 high = ints([](auto q) { return vshrq_n_s32(vaddq_s32(q, vdupq_n_s32(64)), 7); }, q);
  const I32x16 low =
      ints([](auto q, auto high) { return vsubq_s32(q, vshlq_n_s32(high, 7)); }, q, high);
  return {low_bytes(high), low_bytes(low)};
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
