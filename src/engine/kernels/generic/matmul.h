// Products with packed weights, over the sixteen lanes of an instruction set's simd.h, which is
// included first with generic/weights.h. Lanes are output columns, so no sum ever crosses lanes and
// every output is added up in ascending order of groups, whatever the shape of the loop around it.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Rows that share a weight block while it is in the first-level cache.
constexpr int kChunkRows = 64;

// Adds the products of the columns [begin, end) of kBlocks blocks, each to its own sums.
template <class Format, int kRows, int kBlocks>
HEARTH_SIMD void add_products(const MatmulArgs& args, const std::byte* first_block, int64_t begin,
                              int64_t end, const float* x, int64_t x_stride,
                              F32x16 (&sums)[kBlocks][kRows]) {
  for (int64_t k = begin; k < end; k += Format::kStep) {
    for (int b = 0; b < kBlocks; ++b) {
      F32x16 w[Format::kStep];
      Format::load(first_block + b * args.block_bytes, args.columns, k, w);
      for (int s = 0; s < Format::kStep; ++s) {
        const float* at = x + (k + s) * x_stride;
        for (int i = 0; i < kRows; ++i) sums[b][i] = fma(w[s], set1(at[i]), sums[b][i]);
      }
    }
  }
}

// Consecutive blocks times kRows rows, from `row` on, of a tile of `x_stride` rows.
// out [kBlocks][kRows]
template <class Format, int kRows, int kBlocks>
void block_product(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                   int64_t x_stride, F32x16* out) {
  const float* x = args.x + tile * kTileRows * args.columns + row;
  F32x16 total[kBlocks][kRows];
  for (int b = 0; b < kBlocks; ++b) {
    for (int i = 0; i < kRows; ++i) total[b][i] = zero();
  }
  if constexpr (Format::kScaleColumns > 0) {
    for (int64_t k = 0; k < args.columns; k += Format::kScaleColumns) {
      F32x16 part[kBlocks][kRows];
      for (int b = 0; b < kBlocks; ++b) {
        for (int i = 0; i < kRows; ++i) part[b][i] = zero();
      }
      add_products<Format, kRows, kBlocks>(args, block, k, k + Format::kScaleColumns, x, x_stride,
                                           part);
      for (int b = 0; b < kBlocks; ++b) {
        const F32x16 scale = Format::scale(block + b * args.block_bytes, args.columns, k);
        for (int i = 0; i < kRows; ++i) total[b][i] = fma(part[b][i], scale, total[b][i]);
      }
    }
  } else {
    add_products<Format, kRows, kBlocks>(args, block, 0, args.columns, x, x_stride, total);
  }
  for (int b = 0; b < kBlocks; ++b) {
    for (int i = 0; i < kRows; ++i) out[b * kRows + i] = total[b][i];
  }
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
                     int64_t x_stride, F32x16* out) {
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
  for (int i = 0; i < kRows; ++i) out[i] = total[i];
}

using BlockProduct = void (*)(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                              int64_t x_stride, F32x16* out);

// Writes sums [blocks][n] to rows `row` .. row + n - 1 and the columns of blocks b and after.
HEARTH_SIMD void store_sums(const MatmulArgs& args, const F32x16* sums, int row, int n, int64_t b,
                            int blocks) {
  for (int64_t column = b * kBlockRows; blocks > 0; --blocks, column += kBlockRows) {
    const int64_t lanes = args.out_columns - column;
    float* out = args.out + row * args.out_stride + column;
    for (int i = 0; i < n; ++i, ++sums, out += args.out_stride) {
      store_first(out, args.add ? add(load_first(out, lanes), *sums) : *sums, lanes);
    }
  }
}

// Blocks times rows. Rows go in chunks, so that a block is read from memory once a chunk and the
// chunk's activations stay in the cache. `products[n - 1]` multiplies n rows, n <= rows_max, with
// one block; `wide` all rows with `wide_blocks` blocks (1: there is none).
HEARTH_SIMD void matmul_blocks(const MatmulArgs& args, const BlockProduct* products, int rows_max,
                               BlockProduct wide, int wide_blocks) {
  for (int chunk = 0; chunk < args.rows; chunk += kChunkRows) {
    const int chunk_end = chunk + kChunkRows < args.rows ? chunk + kChunkRows : args.rows;
    int64_t b = args.block_begin;
    for (; wide_blocks > 1 && args.block_end - b >= wide_blocks; b += wide_blocks) {
      F32x16 sums[kTileRows];
      wide(args, args.weights + b * args.block_bytes, 0, 0, args.rows, sums);
      store_sums(args, sums, 0, args.rows, b, wide_blocks);
    }
    for (; b < args.block_end; ++b) {
      const std::byte* block = args.weights + b * args.block_bytes;
      for (int first = chunk; first < chunk_end; first += kTileRows) {
        const int m = args.rows - first < kTileRows ? args.rows - first : kTileRows;
        for (int row = 0; row < m; row += rows_max) {
          const int n = m - row < rows_max ? m - row : rows_max;
          F32x16 sums[kTileRows];
          products[n - 1](args, block, first / kTileRows, row, m, sums);
          store_sums(args, sums, first + row, n, b, 1);
        }
      }
    }
  }
}

template <class Format>
void matmul(const MatmulArgs& args) {
  static const BlockProduct kProducts[] = {
    block_product<Format, 1, 1>,
    block_product<Format, 2, 1>,
    block_product<Format, 3, 1>,
    block_product<Format, 4, 1>,
#if HEARTH_TALL_TILES
    block_product<Format, 5, 1>,
    block_product<Format, 6, 1>,
    block_product<Format, 7, 1>,
    block_product<Format, 8, 1>,
#endif
  };
  // One row's sums would wait for their own last addition: two blocks take turns. More than two
  // streams of weights would be slower again.
  if (args.rows == 1) {
    matmul_blocks(args, kProducts, kFloatRows, block_product<Format, 1, 2>, 2);
  } else {
    matmul_blocks(args, kProducts, kFloatRows, nullptr, 1);
  }
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
  matmul_blocks(args, kProducts, kQuantRows, nullptr, 1);
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
