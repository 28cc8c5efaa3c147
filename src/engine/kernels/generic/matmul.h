// What products with packed weights share: the loops over blocks and rows. Over simd.h, which is
// included first. Lanes are output columns, so no sum ever crosses lanes and every output is added
// up in ascending order of groups, whatever the shape of the loop around it.
#pragma once

#include <utility>

#include "engine/kernels/tables.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Rows that share a weight block while it is in the first-level cache.
constexpr int kChunkRows = 64;

// One block, or several, times some rows, from `row` on, of tile `tile`, whose rows are x_stride.
// out [blocks][rows]
using BlockProduct = void (*)(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                              int64_t x_stride, F32x16* out);

// How many of the rows left go together, and what multiplies them.
struct RowStep {
  BlockProduct product;
  int rows;
};

constexpr int rows_taken(int left, bool every) {
  return every ? left : left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

// [left - 1], for up to so many rows left. Product::run<rows, blocks> is the BlockProduct;
// Product::kEveryCount says whether any number of rows has one of its own, or powers of two only.
template <class Product, class Lefts>
struct RowSteps;
template <class Product, int... kLeft>
struct RowSteps<Product, std::integer_sequence<int, kLeft...>> {
  static constexpr RowStep kSteps[] = {
      {Product::template run<rows_taken(kLeft + 1, Product::kEveryCount), 1>,
       rows_taken(kLeft + 1, Product::kEveryCount)}...};
};

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
// chunk's activations stay in the cache. `steps` for up to rows_max rows; `wide` multiplies all
// rows with wide_blocks blocks (1: there is none).
HEARTH_SIMD void matmul_blocks(const MatmulArgs& args, const RowStep* steps, int rows_max,
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
        for (int row = 0; row < m;) {
          const RowStep& step = steps[(m - row < rows_max ? m - row : rows_max) - 1];
          F32x16 sums[kTileRows];
          step.product(args, block, first / kTileRows, row, m, sums);
          store_sums(args, sums, first + row, step.rows, b, 1);
          row += step.rows;
        }
      }
    }
  }
}

using AllEncodings = std::make_integer_sequence<int, kEncodings>;

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
