// Slabs of activations: what SlabKernels::fill writes and the products read.
//
// A number is the sum of two bfloat16, its high and its low part, which keep 16 bits of it. So the
// matrix unit multiplies it by two tiles, and sums in float have the precision that activations of
// 15 bits have.
//
// A slab holds for each group of 32 columns a tile of the high parts, a tile of the low ones (a
// row of 64 bytes for each row of activations), and 3 x 16 floats: each row's sum over the first 16
// columns, the last 16, and all. Four columns k .. k + 3 lie in a tile's row as k, k + 2, k + 1,
// k + 3: the order in which a vector of codes comes apart into pairs (unpack.h).
#pragma once

#include "engine/kernels/amx/tile.h"
#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::amx {
namespace {

using namespace avx512;

constexpr int kLowParts = kTileBytes;  // where these begin in a group
constexpr int kSums = 2 * kTileBytes;
static_assert(kSums + 3 * kSlabRows * sizeof(float) == kSlabGroupBytes);

// The rows of a product, spread evenly: the matrix unit's time grows with the rows of a tile.
struct SlabShape {
  int slabs;
  int height;  // rows of every slab, but for the last, which has those that are left

  explicit SlabShape(int rows)
      : slabs((rows + kSlabRows - 1) / kSlabRows), height((rows + slabs - 1) / slabs) {}
};

// Where a group of a slab begins. `columns`: padded.
HEARTH_SIMD int64_t slab_group_at(int64_t slab, int64_t columns, int64_t group) {
  return (slab * (columns / kGroup) + group) * kSlabGroupBytes;
}

// To the nearest bfloat16, whose bits are the upper half.
HEARTH_SIMD __m512i to_bf16_bits(F32x16 x) {
  const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x.v), _mm512_set1_epi32(0x8000));
  return _mm512_and_si512(bits, _mm512_set1_epi32(-65536));
}
HEARTH_SIMD F32x16 float_of(__m512i bits) { return {_mm512_castsi512_ps(bits)}; }

}  // namespace
}  // namespace hearth::engine::kernels::amx
