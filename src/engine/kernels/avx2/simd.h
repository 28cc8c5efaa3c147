// Sixteen lanes on AVX2: two registers. The generic kernels are written over these names; avx512
// has the same ones. Everything is forced inline and has internal linkage (see layout.h).
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/kernels/layout.h"

#define HEARTH_ISA_NAMESPACE avx2
#define HEARTH_INLINE inline __attribute__((always_inline))
#define HEARTH_SIMD static HEARTH_INLINE
#define HEARTH_UNROLL _Pragma("GCC unroll 8")

namespace hearth::engine::kernels::avx2 {
namespace {

struct F32x16 {
  __m256 a;  // lanes 0 .. 7
  __m256 b;  // lanes 8 .. 15
};
struct I32x16 {
  __m256i a;
  __m256i b;
};

// Rows of a tile that the inner loops take at once: as many as the 16 registers hold.
constexpr int kFloatRows = 4;
constexpr bool kFloatPairs = false;
constexpr int kQuantRows = 4;
constexpr bool kQuantPairs = false;
constexpr int kPanelRows = 4;
constexpr int kPanelBlocks = 1;
// Rows of pairs times vectors of pairs that attention multiplies at once.
constexpr int kPairRows = 4;
constexpr int kPairVectors = 1;

// All ones in the first n of lanes `from` .. `from` + 7.
HEARTH_SIMD __m256i first_lanes(int64_t n, int from) {
  const __m256i lanes =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(from));
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 16 ? 16 : static_cast<int>(n)), lanes);
}

HEARTH_SIMD F32x16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
HEARTH_SIMD F32x16 set1(float x) {
  const __m256 all = _mm256_set1_ps(x);
  return {all, all};
}
HEARTH_SIMD F32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
HEARTH_SIMD void store(float* p, F32x16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
// The first n lanes, n > 0; loaded lanes beyond are zero, stored ones are left alone.
HEARTH_SIMD F32x16 load_first(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, first_lanes(n, 0)), _mm256_maskload_ps(p + 8, first_lanes(n, 8))};
}
HEARTH_SIMD void store_first(float* p, F32x16 x, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n, 0), x.a);
  _mm256_maskstore_ps(p + 8, first_lanes(n, 8), x.b);
}
// The first n lanes of x, the rest of y.
HEARTH_SIMD F32x16 merge_first(F32x16 x, F32x16 y, int64_t n) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_castsi256_ps(first_lanes(n, 0))),
          _mm256_blendv_ps(y.b, x.b, _mm256_castsi256_ps(first_lanes(n, 8)))};
}

HEARTH_SIMD F32x16 add(F32x16 x, F32x16 y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
HEARTH_SIMD F32x16 sub(F32x16 x, F32x16 y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
HEARTH_SIMD F32x16 mul(F32x16 x, F32x16 y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
HEARTH_SIMD F32x16 div(F32x16 x, F32x16 y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
HEARTH_SIMD F32x16 max(F32x16 x, F32x16 y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
HEARTH_SIMD F32x16 min(F32x16 x, F32x16 y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
HEARTH_SIMD F32x16 abs(F32x16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
// x * y + z, rounded once
HEARTH_SIMD F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
HEARTH_SIMD F32x16 round(F32x16 x) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kMode), _mm256_round_ps(x.b, kMode)};
}
// x * 2^n, n an integer for which 2^n is a normal number
HEARTH_SIMD __m256 scale2(__m256 x, __m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
HEARTH_SIMD F32x16 scale2(F32x16 x, F32x16 n) { return {scale2(x.a, n.a), scale2(x.b, n.b)}; }
HEARTH_SIMD float reduce_add(F32x16 x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
HEARTH_SIMD float reduce_max(F32x16 x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
HEARTH_SIMD float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

HEARTH_SIMD I32x16 load_int(const std::byte* p) {
  const auto* at = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}
// 16 halves
HEARTH_SIMD F32x16 load_f16(const std::byte* p) {
  const auto* at = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at + 1))};
}
// 16 pairs of bfloat16
HEARTH_SIMD void load_bf16_pairs(const std::byte* p, F32x16& low, F32x16& high) {
  const I32x16 pairs = load_int(p);
  const __m256i mask = _mm256_set1_epi32(-65536);
  low = {_mm256_castsi256_ps(_mm256_slli_epi32(pairs.a, 16)),
         _mm256_castsi256_ps(_mm256_slli_epi32(pairs.b, 16))};
  high = {_mm256_castsi256_ps(_mm256_and_si256(pairs.a, mask)),
          _mm256_castsi256_ps(_mm256_and_si256(pairs.b, mask))};
}

HEARTH_SIMD I32x16 to_int(F32x16 x) {  // to nearest
  return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
HEARTH_SIMD F32x16 to_float(I32x16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
template <int kBits, int kMask>
HEARTH_SIMD I32x16 field(I32x16 x) {  // (x >> kBits) & kMask
  const __m256i mask = _mm256_set1_epi32(kMask);
  return {_mm256_and_si256(_mm256_srli_epi32(x.a, kBits), mask),
          _mm256_and_si256(_mm256_srli_epi32(x.b, kBits), mask)};
}
HEARTH_SIMD I32x16 zero_int() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
HEARTH_SIMD I32x16 set1_int(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
HEARTH_SIMD I32x16 add(I32x16 x, I32x16 y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
HEARTH_SIMD int reduce_add(I32x16 x) {
  const __m256i eight = _mm256_add_epi32(x.a, x.b);
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
HEARTH_SIMD void prefetch(const std::byte* p) { _mm_prefetch(p, _MM_HINT_T0); }
// Into the second-level cache.
HEARTH_SIMD void prefetch_far(const std::byte* p) { _mm_prefetch(p, _MM_HINT_T1); }

// Pairs of 16-bit integers: one for all lanes; 16 of them from 32 signed bytes; sum + the dot
// product of each lane's pairs.
HEARTH_SIMD I32x16 set1_pair(const int16_t* pair) {
  int32_t both;
  __builtin_memcpy(&both, pair, sizeof both);
  const __m256i all = _mm256_set1_epi32(both);
  return {all, all};
}
HEARTH_SIMD I32x16 load_i8_pairs(const std::byte* p) {
  const auto* at = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(at)), _mm256_cvtepi8_epi16(_mm_loadu_si128(at + 1))};
}
HEARTH_SIMD I32x16 dot_pairs(I32x16 sum, I32x16 x, I32x16 y) {
  return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(x.a, y.a)),
          _mm256_add_epi32(sum.b, _mm256_madd_epi16(x.b, y.b))};
}

// 16 bytes, signed and unsigned
HEARTH_SIMD I32x16 load_i8(const std::byte* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
HEARTH_SIMD I32x16 load_u8(const std::byte* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
// x << kBits, as the bits of floats
template <int kBits>
HEARTH_SIMD F32x16 float_bits(I32x16 x) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(x.a, kBits)),
          _mm256_castsi256_ps(_mm256_slli_epi32(x.b, kBits))};
}
// 16 bfloat16
HEARTH_SIMD F32x16 load_bf16(const std::byte* p) {
  const auto* at = reinterpret_cast<const __m128i*>(p);
  return float_bits<16>(I32x16{_mm256_cvtepu16_epi32(_mm_loadu_si128(at)),
                               _mm256_cvtepu16_epi32(_mm_loadu_si128(at + 1))});
}
// The FP8 E4M3 number in byte kByte of every dword: sign, exponent and mantissa go to their places
// in a float, whose exponent is then 120 too small. The two NaNs come out as +-480.
template <int kByte>
HEARTH_SIMD __m256 e4m3_floats(__m256i x) {
  const __m256i top = _mm256_srai_epi32(_mm256_slli_epi32(x, 24 - 8 * kByte), 4);
  const __m256i bits = _mm256_and_si256(top, _mm256_set1_epi32(static_cast<int>(0x87f00000)));
  return _mm256_mul_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(0x1p120f));
}
template <int kByte>
HEARTH_SIMD F32x16 e4m3_floats(I32x16 x) {
  return {e4m3_floats<kByte>(x.a), e4m3_floats<kByte>(x.b)};
}
// Of every byte, below 16: table[byte]
HEARTH_SIMD I32x16 lookup(const uint8_t (&table)[16], I32x16 x) {
  const __m256i entries =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(entries, x.a), _mm256_shuffle_epi8(entries, x.b)};
}
// 16 signed 16-bit integers, clamped to their range
HEARTH_SIMD void store_int16(int16_t* p, I32x16 x) {
  const __m256i packed = _mm256_packs_epi32(x.a, x.b);  // in 128-bit lanes
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
// Of every byte: (x >> kShift) & kMask, or x << -kShift. kMask must clear what crosses from the
// neighbour.
template <int kShift, int kMask>
HEARTH_SIMD __m256i byte_field(__m256i x) {
  const __m256i shifted = kShift > 0   ? _mm256_srli_epi16(x, kShift)
                          : kShift < 0 ? _mm256_slli_epi16(x, -kShift)
                                       : x;
  return _mm256_and_si256(shifted, _mm256_set1_epi8(kMask));
}
template <int kShift, int kMask>
HEARTH_SIMD I32x16 byte_field(I32x16 x) {
  return {byte_field<kShift, kMask>(x.a), byte_field<kShift, kMask>(x.b)};
}
HEARTH_SIMD I32x16 either(I32x16 x, I32x16 y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}

// Columns that a dot product multiplies at a time, and the bytes of as many activations.
constexpr int kStepColumns = 4;
constexpr int kStepBytes = 8;
// Four quantised activations are four 16-bit integers, of columns 0, 2, 1, 3: the partners of the
// even and of the odd weight bytes. Stores 16 of them, `stride` bytes from four to four.
HEARTH_SIMD void store_steps(std::byte* p, int64_t stride, I32x16 q) {
  __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(q.a, q.b), 0xd8);
  words = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8);
  const __m128i first = _mm256_castsi256_si128(words);
  const __m128i last = _mm256_extracti128_si256(words, 1);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), first);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p + stride), _mm_unpackhi_epi64(first, first));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p + 2 * stride), last);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p + 3 * stride), _mm_unpackhi_epi64(last, last));
}

// Dot products of unsigned weight bytes and quantised activations, four columns at a time. In 16
// bits on both sides: the 8-bit multiply of AVX2 would saturate.
struct DotWeights {
  __m256i even_a, odd_a, even_b, odd_b;
};
// Nothing is taken off the bytes, the largest of which is kMax.
constexpr int dot_taken_off(int) { return 0; }
template <int kMax>
HEARTH_SIMD DotWeights dot_weights(I32x16 bytes) {
  const __m256i even = _mm256_set1_epi16(255);
  return {_mm256_and_si256(bytes.a, even), _mm256_srli_epi16(bytes.a, 8),
          _mm256_and_si256(bytes.b, even), _mm256_srli_epi16(bytes.b, 8)};
}
// One sweep over the quads of a unit of columns does it all.
constexpr int kDotSweeps = 1;
struct DotActivations {
  __m256i even, odd;
};
template <int kSweep>
HEARTH_SIMD DotActivations dot_activations(const std::byte* quad) {
  int32_t even_pair;
  int32_t odd_pair;
  __builtin_memcpy(&even_pair, quad, sizeof even_pair);
  __builtin_memcpy(&odd_pair, quad + 4, sizeof odd_pair);
  return {_mm256_set1_epi32(even_pair), _mm256_set1_epi32(odd_pair)};
}
using SweepSum = I32x16;
HEARTH_SIMD SweepSum sweep_start() { return zero_int(); }
HEARTH_SIMD SweepSum dot_sweep(SweepSum sum, const DotWeights& weights, const DotActivations& x) {
  sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(weights.even_a, x.even));
  sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(weights.even_b, x.even));
  sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(weights.odd_a, x.odd));
  sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(weights.odd_b, x.odd));
  // Otherwise GCC makes the products of all quads first, more than there are registers for.
  asm("" : "+x"(sum.a), "+x"(sum.b));
  return sum;
}
HEARTH_SIMD I32x16 sweep_finish(SweepSum sum) { return sum; }
using DotSum = SweepSum;
HEARTH_SIMD DotSum dot_start(int32_t value) { return set1_int(value); }
HEARTH_SIMD DotSum dot_step(DotSum sum, const DotWeights& weights, const std::byte* quad) {
  return dot_sweep(sum, weights, dot_activations<0>(quad));
}
HEARTH_SIMD I32x16 dot_finish(DotSum sum) { return sum; }
HEARTH_SIMD void store_weights(std::byte* p, const DotWeights& w) {
  auto* to = reinterpret_cast<__m256i*>(p);
  _mm256_storeu_si256(to, w.even_a);
  _mm256_storeu_si256(to + 1, w.odd_a);
  _mm256_storeu_si256(to + 2, w.even_b);
  _mm256_storeu_si256(to + 3, w.odd_b);
}
HEARTH_SIMD DotWeights load_weights(const std::byte* p) {
  const auto* from = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1), _mm256_loadu_si256(from + 2),
          _mm256_loadu_si256(from + 3)};
}

}  // namespace
}  // namespace hearth::engine::kernels::avx2
