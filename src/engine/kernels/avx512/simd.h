// Sixteen lanes on AVX-512: one register. The generic kernels are written over these names; avx2
// has the same ones. Everything is forced inline and has internal linkage (see layout.h).
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/layout.h"

#define HEARTH_ISA_NAMESPACE avx512
#define HEARTH_INLINE inline __attribute__((always_inline))
#define HEARTH_SIMD static HEARTH_INLINE
#define HEARTH_UNROLL _Pragma("GCC unroll 8")

namespace hearth::engine::kernels::avx512 {
namespace {

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};

// Rows of a tile that the inner loops take at once: as many as the 32 registers hold.
constexpr int kFloatRows = 8;
constexpr bool kFloatPairs = true;  // of blocks, for as many rows
constexpr int kQuantRows = 8;
constexpr bool kQuantPairs = true;  // of blocks, for half as many
constexpr int kPanelRows = 8;
constexpr int kPanelBlocks = 2;
// Rows of pairs times vectors of pairs that attention multiplies at once.
constexpr int kPairRows = 8;
constexpr int kPairVectors = 2;

HEARTH_SIMD __mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffff : (1 << n) - 1);
}

HEARTH_SIMD F32x16 zero() { return {_mm512_setzero_ps()}; }
HEARTH_SIMD F32x16 set1(float x) { return {_mm512_set1_ps(x)}; }
HEARTH_SIMD F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
HEARTH_SIMD void store(float* p, F32x16 x) { _mm512_storeu_ps(p, x.v); }
// The first n lanes, n > 0; loaded lanes beyond are zero, stored ones are left alone.
HEARTH_SIMD F32x16 load_first(const float* p, int64_t n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
HEARTH_SIMD void store_first(float* p, F32x16 x, int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), x.v);
}
// The first n lanes of x, the rest of y.
HEARTH_SIMD F32x16 merge_first(F32x16 x, F32x16 y, int64_t n) {
  return {_mm512_mask_blend_ps(first_lanes(n), y.v, x.v)};
}

HEARTH_SIMD F32x16 add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
HEARTH_SIMD F32x16 sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
HEARTH_SIMD F32x16 mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
HEARTH_SIMD F32x16 div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
HEARTH_SIMD F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
HEARTH_SIMD F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
HEARTH_SIMD F32x16 abs(F32x16 a) { return {_mm512_abs_ps(a.v)}; }
// a * b + c, rounded once
HEARTH_SIMD F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
HEARTH_SIMD F32x16 round(F32x16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a * 2^n, n an integer
HEARTH_SIMD F32x16 scale2(F32x16 a, F32x16 n) { return {_mm512_scalef_ps(a.v, n.v)}; }
HEARTH_SIMD float reduce_add(F32x16 a) { return _mm512_reduce_add_ps(a.v); }
HEARTH_SIMD float reduce_max(F32x16 a) { return _mm512_reduce_max_ps(a.v); }
HEARTH_SIMD float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

// 16 halves
HEARTH_SIMD F32x16 load_f16(const std::byte* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
// 16 pairs of bfloat16
HEARTH_SIMD void load_bf16_pairs(const std::byte* p, F32x16& low, F32x16& high) {
  const __m512i pairs = _mm512_loadu_si512(p);
  low.v = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
  high.v = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
}

HEARTH_SIMD I32x16 load_int(const std::byte* p) { return {_mm512_loadu_si512(p)}; }
HEARTH_SIMD I32x16 to_int(F32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }  // to nearest
HEARTH_SIMD F32x16 to_float(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
template <int kBits, int kMask>
HEARTH_SIMD I32x16 field(I32x16 a) {  // (a >> kBits) & kMask
  return {_mm512_and_si512(_mm512_srli_epi32(a.v, kBits), _mm512_set1_epi32(kMask))};
}
HEARTH_SIMD I32x16 zero_int() { return {_mm512_setzero_si512()}; }
HEARTH_SIMD I32x16 set1_int(int32_t x) { return {_mm512_set1_epi32(x)}; }
HEARTH_SIMD I32x16 add(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
HEARTH_SIMD int reduce_add(I32x16 a) { return _mm512_reduce_add_epi32(a.v); }
HEARTH_SIMD void prefetch(const std::byte* p) { _mm_prefetch(p, _MM_HINT_T0); }
// Into the second-level cache.
HEARTH_SIMD void prefetch_far(const std::byte* p) { _mm_prefetch(p, _MM_HINT_T1); }

// Pairs of 16-bit integers: one for all lanes; 16 of them from 32 signed bytes; sum + the dot
// product of each lane's pairs.
HEARTH_SIMD I32x16 set1_pair(const int16_t* pair) {
  int32_t both;
  __builtin_memcpy(&both, pair, sizeof both);
  return {_mm512_set1_epi32(both)};
}
HEARTH_SIMD I32x16 load_i8_pairs(const std::byte* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
HEARTH_SIMD I32x16 dot_pairs(I32x16 sum, I32x16 a, I32x16 b) {
  // Around the intrinsic GCC 12 copies the sum twice.
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.v) : "v"(a.v), "v"(b.v));
  return sum;
}

// 16 bytes, signed and unsigned
HEARTH_SIMD I32x16 load_i8(const std::byte* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
HEARTH_SIMD I32x16 load_u8(const std::byte* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
// 16 bfloat16
HEARTH_SIMD F32x16 load_bf16(const std::byte* p) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
// x << kBits, as the bits of floats
template <int kBits>
HEARTH_SIMD F32x16 float_bits(I32x16 x) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(x.v, kBits))};
}
// The FP8 E4M3 number in byte kByte of every dword: sign, exponent and mantissa go to their places
// in a float, whose exponent is then 120 too small. The two NaNs come out as +-480.
template <int kByte>
HEARTH_SIMD F32x16 e4m3_floats(I32x16 x) {
  const __m512i top = _mm512_srai_epi32(_mm512_slli_epi32(x.v, 24 - 8 * kByte), 4);
  const __m512i bits = _mm512_and_si512(top, _mm512_set1_epi32(static_cast<int>(0x87f00000)));
  return {_mm512_mul_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(0x1p120f))};
}
// Of every byte, below 16: table[byte]
HEARTH_SIMD I32x16 lookup(const uint8_t (&table)[16], I32x16 x) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), x.v)};
}
// 16 signed 16-bit integers, clamped to their range
HEARTH_SIMD void store_int16(int16_t* p, I32x16 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(x.v));
}
// Of every byte: (x >> kShift) & kMask, or x << -kShift. kMask must clear what crosses from the
// neighbour.
template <int kShift, int kMask>
HEARTH_SIMD I32x16 byte_field(I32x16 x) {
  const __m512i shifted = kShift > 0   ? _mm512_srli_epi16(x.v, kShift)
                          : kShift < 0 ? _mm512_slli_epi16(x.v, -kShift)
                                       : x.v;
  return {_mm512_and_si512(shifted, _mm512_set1_epi8(kMask))};
}
HEARTH_SIMD I32x16 either(I32x16 a, I32x16 b) { return {_mm512_or_si512(a.v, b.v)}; }

// Columns that a dot product multiplies at a time, and the bytes of as many activations.
constexpr int kStepColumns = 4;
constexpr int kStepBytes = 8;
// Four quantised activations are four signed high bytes, then four signed low bytes:
// q = high * 128 + low. Stores 16 of them, `stride` bytes from four to four.
HEARTH_SIMD void store_steps(std::byte* p, int64_t stride, I32x16 q) {
  const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(q.v, _mm512_set1_epi32(64)), 7);
  const __m512i low = _mm512_sub_epi32(q.v, _mm512_slli_epi32(high, 7));
  const __m128i high_bytes = _mm512_cvtsepi32_epi8(high);
  const __m128i low_bytes = _mm512_cvtsepi32_epi8(low);
  const __m128i first = _mm_unpacklo_epi32(high_bytes, low_bytes);
  const __m128i last = _mm_unpackhi_epi32(high_bytes, low_bytes);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), first);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p + stride), _mm_unpackhi_epi64(first, first));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p + 2 * stride), last);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p + 3 * stride), _mm_unpackhi_epi64(last, last));
}

// Dot products of unsigned weight bytes and quantised activations, four columns at a time.
using DotWeights = __m512i;
// Nothing is taken off the bytes, the largest of which is kMax.
constexpr int dot_taken_off(int) { return 0; }
template <int kMax>
HEARTH_SIMD DotWeights dot_weights(I32x16 bytes) {
  return bytes.v;
}
// In two sweeps over the quads of a unit of columns, of the high bytes and then of the low ones;
constexpr int kDotSweeps = 2;
using DotActivations = __m512i;
template <int kSweep>
HEARTH_SIMD DotActivations dot_activations(const std::byte* quad) {
  int32_t bytes;
  __builtin_memcpy(&bytes, quad + 4 * kSweep, sizeof bytes);
  return _mm512_set1_epi32(bytes);
}
using SweepSum = I32x16;
HEARTH_SIMD SweepSum sweep_start() { return zero_int(); }
HEARTH_SIMD SweepSum dot_sweep(SweepSum sum, DotWeights weights, DotActivations activations) {
  return {_mm512_dpbusd_epi32(sum.v, weights, activations)};
}
HEARTH_SIMD I32x16 sweep_finish(SweepSum sum) { return sum; }
HEARTH_SIMD SweepSum dot_next_sweep(SweepSum sum) { return {_mm512_slli_epi32(sum.v, 7)}; }
// or in one, with two sums.
struct DotSum {
  I32x16 high, low;
};
HEARTH_SIMD DotSum dot_start(int32_t value) { return {zero_int(), set1_int(value)}; }
HEARTH_SIMD DotSum dot_step(DotSum sum, DotWeights weights, const std::byte* quad) {
  return {dot_sweep(sum.high, weights, dot_activations<0>(quad)),
          dot_sweep(sum.low, weights, dot_activations<1>(quad))};
}
HEARTH_SIMD I32x16 dot_finish(DotSum sum) { return add(dot_next_sweep(sum.high), sum.low); }
HEARTH_SIMD void store_weights(std::byte* p, DotWeights w) { _mm512_storeu_si512(p, w); }
HEARTH_SIMD DotWeights load_weights(const std::byte* p) { return _mm512_loadu_si512(p); }

}  // namespace
}  // namespace hearth::engine::kernels::avx512
