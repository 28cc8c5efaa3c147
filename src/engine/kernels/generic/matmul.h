// Products with packed weights, over the sixteen lanes of an instruction set's simd.h, which is
// included first with generic/weights.h. Lanes are output columns, so no sum ever crosses lanes and
// every output is added up in ascending order of groups, whatever the shape of the loop around it.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Rows that share a weight block while it is in the first-level cache.
constexpr int kChunkRows = 64;

// Adds the products of the columns [begin, end) to two partial sums a row, of even and of odd
// columns: two chains, because one would wait for itself.
template <class Format, int kRows>
HEARTH_SIMD void add_products(const std::byte* block, int64_t columns, int64_t begin, int64_t end,
                              const float* x, int64_t x_stride, F32x16 (&even)[kRows],
                              F32x16 (&odd)[kRows]) {
  for (int64_t k = begin; k < end; k += Format::kStep) {
    F32x16 w[Format::kStep];
    Format::load(block, columns, k, w);
    for (int s = 0; s < Format::kStep; s += 2) {
      const float* at = x + (k + s) * x_stride;
      for (int i = 0; i < kRows; ++i) even[i] = fma(w[s], set1(at[i]), even[i]);
      for (int i = 0; i < kRows; ++i) odd[i] = fma(w[s + 1], set1(at[x_stride + i]), odd[i]);
    }
  }
}

// One block times kRows rows, from `row` on, of a tile of `x_stride` rows.
template <class Format, int kRows>
void block_product(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                   int64_t x_stride, F32x16* sums) {
  const float* x = args.x + tile * kTileRows * args.columns + row;
  F32x16 total[kRows];
  F32x16 even[kRows];
  F32x16 odd[kRows];
  for (int i = 0; i < kRows; ++i) total[i] = even[i] = odd[i] = zero();
  if constexpr (Format::kScaleColumns > 0) {
    for (int64_t k = 0; k < args.columns; k += Format::kScaleColumns) {
      for (int i = 0; i < kRows; ++i) even[i] = odd[i] = zero();
      add_products<Format, kRows>(block, args.columns, k, k + Format::kScaleColumns, x, x_stride,
                                  even, odd);
      const F32x16 scale = Format::scale(block, args.columns, k);
      for (int i = 0; i < kRows; ++i) total[i] = fma(add(even[i], odd[i]), scale, total[i]);
    }
  } else {
    add_products<Format, kRows>(block, args.columns, 0, args.columns, x, x_stride, even, odd);
    for (int i = 0; i < kRows; ++i) total[i] = add(even[i], odd[i]);
  }
  for (int i = 0; i < kRows; ++i) sums[i] = total[i];
}

// One group's products as floats, before the group's scales: integers throughout but for the
// scales of half groups.
template <class Format, int kRows>
HEARTH_SIMD void group_product(const std::byte* block, int64_t columns, int64_t group,
                               const std::byte* x, int64_t x_stride, const int32_t* x_sums,
                               F32x16 (&products)[kRows]) {
  const std::byte* x_half = x + 4 * x_stride * kQuadBytes;
  DotSum sums[kRows];
  if constexpr (Format::kHalfScaled) {
    for (int i = 0; i < kRows; ++i) sums[i] = dot_start(-Format::kOffset * x_sums[i]);
    Format::template add_half<0, kRows>(block, columns, group, x, x_stride, sums);
    const F32x16 first = Format::half_scale(block, columns, 2 * group);
    for (int i = 0; i < kRows; ++i) products[i] = mul(to_float(dot_finish(sums[i])), first);
    for (int i = 0; i < kRows; ++i) sums[i] = dot_start(-Format::kOffset * x_sums[x_stride + i]);
    Format::template add_half<1, kRows>(block, columns, group, x_half, x_stride, sums);
    const F32x16 last = Format::half_scale(block, columns, 2 * group + 1);
    for (int i = 0; i < kRows; ++i) {
      products[i] = fma(to_float(dot_finish(sums[i])), last, products[i]);
    }
  } else {
    for (int i = 0; i < kRows; ++i) {
      sums[i] = dot_start(-Format::kOffset * (x_sums[i] + x_sums[x_stride + i]));
    }
    Format::template add_half<0, kRows>(block, columns, group, x, x_stride, sums);
    Format::template add_half<1, kRows>(block, columns, group, x_half, x_stride, sums);
    for (int i = 0; i < kRows; ++i) products[i] = to_float(dot_finish(sums[i]));
  }
}

template <class Format, int kRows>
void block_product_q(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                     int64_t x_stride, F32x16* sums) {
  const int64_t groups = args.columns / kGroup;
  const int64_t first_row = tile * kTileRows;
  const std::byte* x = args.xq + (first_row * args.columns / 4 + row) * kQuadBytes;
  const float* x_scales = args.xq_scales + first_row * groups + row;
  const int32_t* x_sums = args.xq_sums + first_row * groups * 2 + row;
  F32x16 total[kRows];
  for (int i = 0; i < kRows; ++i) total[i] = zero();
  for (int64_t g = 0; g < groups; ++g) {
    F32x16 products[kRows];
    group_product<Format, kRows>(block, args.columns, g, x, x_stride, x_sums, products);
    const F32x16 scale = Format::group_scale(block, args.columns, g);
    for (int i = 0; i < kRows; ++i) {
      total[i] = fma(products[i], mul(scale, set1(x_scales[i])), total[i]);
    }
    x += kGroup / 4 * kQuadBytes * x_stride;
    x_scales += x_stride;
    x_sums += 2 * x_stride;
  }
  for (int i = 0; i < kRows; ++i) sums[i] = total[i];
}

using BlockProduct = void (*)(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                              int64_t x_stride, F32x16* sums);

// Blocks times rows. Rows go in chunks, so that a block is read from memory once a chunk and the
// chunk's activations stay in the cache. `products[n - 1]` multiplies n rows, n <= rows_max.
HEARTH_SIMD void matmul_blocks(const MatmulArgs& args, const BlockProduct* products, int rows_max) {
  for (int chunk = 0; chunk < args.rows; chunk += kChunkRows) {
    const int chunk_end = chunk + kChunkRows < args.rows ? chunk + kChunkRows : args.rows;
    for (int64_t b = args.block_begin; b < args.block_end; ++b) {
      const std::byte* block = args.weights + b * args.block_bytes;
      const int64_t lanes = args.out_columns - b * kBlockRows;
      for (int first = chunk; first < chunk_end; first += kTileRows) {
        const int m = args.rows - first < kTileRows ? args.rows - first : kTileRows;
        for (int row = 0; row < m; row += rows_max) {
          const int n = m - row < rows_max ? m - row : rows_max;
          F32x16 sums[kTileRows];
          products[n - 1](args, block, first / kTileRows, row, m, sums);
          float* out = args.out + (first + row) * args.out_stride + b * kBlockRows;
          for (int i = 0; i < n; ++i, out += args.out_stride) {
            store_first(out, args.add ? add(load_first(out, lanes), sums[i]) : sums[i], lanes);
          }
        }
      }
    }
  }
}

template <class Format>
void matmul(const MatmulArgs& args) {
  static const BlockProduct kProducts[] = {
    block_product<Format, 1>,
    block_product<Format, 2>,
    block_product<Format, 3>,
#if HEARTH_TALL_TILES
    block_product<Format, 4>,
    block_product<Format, 5>,
    block_product<Format, 6>,
    block_product<Format, 7>,
    block_product<Format, 8>,
#endif
  };
  matmul_blocks(args, kProducts, kFloatRows);
}

template <class Format>
void matmul_q(const MatmulArgs& args) {
  static const BlockProduct kProducts[] = {
    block_product_q<Format, 1>,
    block_product_q<Format, 2>,
    block_product_q<Format, 3>,
#if HEARTH_TALL_TILES
    block_product_q<Format, 4>,
    block_product_q<Format, 5>,
    block_product_q<Format, 6>,
    block_product_q<Format, 7>,
    block_product_q<Format, 8>,
#endif
  };
  matmul_blocks(args, kProducts, kQuantRows);
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
