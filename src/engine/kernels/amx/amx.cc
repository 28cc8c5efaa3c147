// Products of many rows on a matrix unit (flags: kernels.cmake). What else the entry of
// the registry has is AVX-512's.
#include "engine/kernels/avx512/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/amx/product.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {
namespace amx {
namespace {

// The upper halves of 32 floats, in the order of a tile's row.
HEARTH_SIMD void store_halves(std::byte* row, __m512i first, __m512i last) {
  alignas(64) static constexpr uint16_t kOrder[32] = {1,  5,  3,  7,  9,  13, 11, 15, 17, 21, 19,
                                                      23, 25, 29, 27, 31, 33, 37, 35, 39, 41, 45,
                                                      43, 47, 49, 53, 51, 55, 57, 61, 59, 63};
  _mm512_storeu_si512(row, _mm512_permutex2var_epi16(first, _mm512_load_si512(kOrder), last));
}

void fill_slabs(const float* x, int64_t columns, int row, int rows, std::byte* slabs) {
  const SlabShape shape(rows);
  const int64_t padded = round_up(columns, kGroup);
  const int i = row % shape.height;
  for (int64_t k = 0; k < columns; k += kGroup) {
    const F32x16 first = load_first(x + k, columns - k);
    const F32x16 last = columns - k > 16 ? load_first(x + k + 16, columns - k - 16) : zero();
    const __m512i high_first = to_bf16_bits(first);
    const __m512i high_last = to_bf16_bits(last);
    const __m512i low_first = to_bf16_bits(sub(first, float_of(high_first)));
    const __m512i low_last = to_bf16_bits(sub(last, float_of(high_last)));
    std::byte* group = slabs + slab_group_at(row / shape.height, padded, k / kGroup);
    store_halves(group + i * 64, high_first, high_last);
    store_halves(group + kLowParts + i * 64, low_first, low_last);
    // Of what the tiles hold, so that a weight's offset takes off exactly what it added.
    const float sum_first = reduce_add(add(float_of(high_first), float_of(low_first)));
    const float sum_last = reduce_add(add(float_of(high_last), float_of(low_last)));
    auto* sums = reinterpret_cast<float*>(group + kSums) + i;
    sums[0] = sum_first;
    sums[kSlabRows] = sum_last;
    sums[2 * kSlabRows] = sum_first + sum_last;
  }
}

template <Layout kLayout>
void matmul(const MatmulArgs& args) {
  using Weights = Unpack<kLayout>;
  Product<Weights::kForm>(args, Weights::run).run();
}

// All but F32, whose numbers two bfloat16 do not hold.
template <Layout kLayout>
constexpr Matmul matmul_of() {
  if constexpr (kLayout.values == Values::kFloat32) {
    return nullptr;
  } else {
    return matmul<kLayout>;
  }
}

template <int... kEncoding>
constexpr MatmulKernels matmuls(std::integer_sequence<int, kEncoding...>) {
  return {{matmul_of<kLayouts[kEncoding]>()...}};
}

constexpr MatmulKernels kMatmuls = matmuls(std::make_integer_sequence<int, kEncodings>());

}  // namespace
}  // namespace amx

constinit const SlabKernels kAmxSlabKernels = {
    .matmul = amx::kMatmuls.of,
    .fill = amx::fill_slabs,
};

}  // namespace hearth::engine::kernels
