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

// [left - 1], for up to so many rows left and for kBlocks blocks. Product::run<rows, blocks> is the
// BlockProduct; Product::kEveryCount says whether any number of rows has one of its own, or powers
// of two only.
template <class Product, int kBlocks, class Lefts>
struct RowSteps;
template <class Product, int kBlocks, int... kLeft>
struct RowSteps<Product, kBlocks, std::integer_sequence<int, kLeft...>> {
  static constexpr RowStep kSteps[] = {
      {Product::template run<rows_taken(kLeft + 1, Product::kEveryCount), kBlocks>,
       rows_taken(kLeft + 1, Product::kEveryCount)}...};
};
template <class Product, int kBlocks, int kRowsMax>
constexpr const RowStep* row_steps() {
  return RowSteps<Product, kBlocks, std::make_integer_sequence<int, kRowsMax>>::kSteps;
}

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

// Where store_sums() will write.
HEARTH_SIMD void prefetch_sums(const MatmulArgs& args, int row, int n, int64_t b, int blocks) {
  for (int i = 0; i < n; ++i) {
    const float* out = args.out + (row + i) * args.out_stride + b * kBlockRows;
    for (int at = 0; at < blocks; ++at) {
      prefetch(reinterpret_cast<const std::byte*>(out + at * kBlockRows));
    }
  }
}

// Blocks [b, b + blocks) times the rows of [row_begin, row_end), by steps for up to rows_max rows.
HEARTH_SIMD void multiply_rows(const MatmulArgs& args, const RowStep* steps, int rows_max,
                               int64_t b, int blocks, int row_begin, int row_end) {
  const std::byte* block = args.weights + b * args.block_bytes;
  for (int first = row_begin; first < row_end; first += kTileRows) {
    const int m = args.rows - first < kTileRows ? args.rows - first : kTileRows;
    for (int row = 0; row < m;) {
      const RowStep& step = steps[(m - row < rows_max ? m - row : rows_max) - 1];
      F32x16 sums[2 * kTileRows];
      step.product(args, block, first / kTileRows, row, m, sums);
      store_sums(args, sums, first + row, step.rows, b, blocks);
      row += step.rows;
    }
  }
}

// Blocks times rows. Rows go in chunks, so that a block is read from memory once a chunk and the
// chunk's activations stay in the cache. Two blocks at a time go by `pairs`, unless it is null.
HEARTH_SIMD void matmul_blocks(const MatmulArgs& args, const RowStep* pairs, const RowStep* singles,
                               int rows_max) {
  for (int row = 0; row < args.rows; row += kChunkRows) {
    const int row_end = row + kChunkRows < args.rows ? row + kChunkRows : args.rows;
    int64_t b = args.block_begin;
    for (; pairs != nullptr && args.block_end - b >= 2; b += 2) {
      multiply_rows(args, pairs, rows_max, b, 2, row, row_end);
    }
    for (; b < args.block_end; ++b) multiply_rows(args, singles, rows_max, b, 1, row, row_end);
  }
}

using AllEncodings = std::make_integer_sequence<int, kEncodings>;

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
