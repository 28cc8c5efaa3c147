// Products with transposed matrices, over simd.h and generic/weights.h, included first. Lanes are
// inputs, whose products are added up block by block, and at the end across the lanes.
#pragma once

#include "engine/kernels/generic/matmul.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Calls take(k, column k of the block) for the 32 columns of group `group`.

template <class Weights>
struct PlainGroup {
  template <class Take>
  HEARTH_SIMD void unpack(const MatmulArgs&, const std::byte* block, int64_t group, Take take) {
    for (int64_t k = group * kGroup; k < (group + 1) * kGroup; k += Weights::kStep) {
      F32x16 w[Weights::kStep];
      Weights::load(block, k, w);
      for (int s = 0; s < Weights::kStep; ++s) take(k + s, w[s]);
    }
  }
};

template <Layout kLayout>
struct CodedGroup {
  using Scale = Scaler<kLayout>;

  template <int kQuad, class Take>
  HEARTH_SIMD void unpack_quad(const Chapter& chapter, int64_t group, F32x16 scale, F32x16 min,
                               Take take) {
    F32x16 w[4];
    Codes<kLayout>::template floats<kQuad>(chapter, group % kChapterGroups, w);
    for (int s = 0; s < 4; ++s) {
      const F32x16 scaled = Scale::kMins ? fma(w[s], scale, min) : mul(w[s], scale);
      take(group * kGroup + kQuad * 4 + s, scaled);
    }
  }

  template <int kHalf, class Take>
  HEARTH_SIMD void unpack_half(const Chapter& chapter, int64_t group, Take take) {
    const F32x16 scale = Scale::unit_scale(chapter, group % kChapterGroups, kHalf);
    F32x16 min = zero();
    if constexpr (Scale::kMins) min = Scale::unit_min(chapter, group % kChapterGroups, kHalf);
    unpack_quad<4 * kHalf>(chapter, group, scale, min, take);
    unpack_quad<4 * kHalf + 1>(chapter, group, scale, min, take);
    unpack_quad<4 * kHalf + 2>(chapter, group, scale, min, take);
    unpack_quad<4 * kHalf + 3>(chapter, group, scale, min, take);
  }

  template <class Take>
  HEARTH_SIMD void unpack(const MatmulArgs& args, const std::byte* block, int64_t group,
                          Take take) {
    const Chapter chapter = chapter_of<kLayout>(args, block, group * kGroup);
    unpack_half<0>(chapter, group, take);
    unpack_half<1>(chapter, group, take);
  }
};

// Puts columns into a panel, `width` floats each, of which they are those from `at` on.
struct IntoPanel {
  float* at;
  int64_t width;
  HEARTH_INLINE void operator()(int64_t k, F32x16 column) const {
    store(at + k % kGroup * width, column);
  }
};

// Adds columns times x to the sums of each.
struct IntoSums {
  float* sums;
  F32x16 x;
  HEARTH_INLINE void operator()(int64_t k, F32x16 column) const {
    float* at = sums + k * kBlockRows;
    store(at, fma(column, x, load(at)));
  }
};

constexpr int kColumns = 4;  // of a panel, that share a row's loads

HEARTH_SIMD void add_lanes(const float* weights, int64_t width, F32x16 x,
                           F32x16 (&sums)[kColumns]) {
  for (int c = 0; c < kColumns; ++c) sums[c] = fma(load(weights + c * width), x, sums[c]);
}

// One row times the columns of a panel, `width` floats each: what lies beyond the inputs meets
// zeros.
HEARTH_SIMD void multiply_panel(const TransposedArgs& args, int row, int64_t column,
                                int64_t width) {
  const float* x = args.x + row * args.x_stride;
  float* out = args.out + row * args.out_stride + column;
  const int64_t count = args.outputs - column < kGroup ? args.outputs - column : kGroup;
  for (int64_t j = 0; j < count; j += kColumns) {
    const float* weights = args.panel + j * width;
    F32x16 sums[kColumns] = {zero(), zero(), zero(), zero()};
    int64_t i = 0;
    for (; i + kBlockRows <= args.inputs; i += kBlockRows) {
      add_lanes(weights + i, width, load(x + i), sums);
    }
    if (i < args.inputs) {
      add_lanes(weights + i, width, load_first(x + i, args.inputs - i), sums);
    }
    for (int c = 0; c < kColumns && j + c < count; ++c) out[j + c] = reduce_add(sums[c]);
  }
}

// One row: weights are read in the order in which they lie, as memory likes it.
template <class Group>
HEARTH_SIMD void multiply_row(const TransposedArgs& args, const MatmulArgs& matrix) {
  for (int64_t k = 0; k < matrix.columns; ++k) store(args.panel + k * kBlockRows, zero());
  for (int64_t i = 0; i < args.inputs; i += kBlockRows) {
    const std::byte* block = args.weights + i / kBlockRows * args.block_bytes;
    const IntoSums into{args.panel, load_first(args.x + i, args.inputs - i)};
    Ahead<1, false> ahead(matrix, block, group_bytes(matrix));
    for (int64_t group = 0; group < matrix.columns / kGroup; ++group) {
      ahead.fetch();
      Group::unpack(matrix, block, group, into);
    }
  }
  for (int64_t k = 0; k < args.outputs; ++k) {
    args.out[k] = reduce_add(load(args.panel + k * kBlockRows));
  }
}

// Many rows: 32 columns of all blocks are unpacked once for a chunk of them.
template <class Group>
HEARTH_SIMD void multiply_rows(const TransposedArgs& args, const MatmulArgs& matrix) {
  const int64_t width = round_up(args.inputs, kBlockRows);
  for (int first = 0; first < args.rows; first += kChunkRows) {
    const int end = first + kChunkRows < args.rows ? first + kChunkRows : args.rows;
    for (int64_t column = 0; column < args.outputs; column += kGroup) {
      for (int64_t i = 0; i < width; i += kBlockRows) {
        Group::unpack(matrix, args.weights + i / kBlockRows * args.block_bytes, column / kGroup,
                      IntoPanel{args.panel + i, width});
      }
      for (int row = first; row < end; ++row) multiply_panel(args, row, column, width);
    }
  }
}

// Both add the same numbers in the same order.
template <class Group>
void matmul_transposed(const TransposedArgs& args) {
  const MatmulArgs matrix{.block_bytes = args.block_bytes,
                          .groups = args.groups,
                          .columns = round_up(args.outputs, kGroup)};
  if (args.rows == 1) {
    multiply_row<Group>(args, matrix);
  } else {
    multiply_rows<Group>(args, matrix);
  }
}

template <Layout kLayout>
constexpr MatmulTransposed transposed_matmul() {
  if constexpr (kLayout.values == Values::kFloat32) {
    return matmul_transposed<PlainGroup<WeightsF32>>;
  } else if constexpr (kLayout.values == Values::kFloat16) {
    return matmul_transposed<PlainGroup<WeightsF16>>;
  } else if constexpr (kLayout.values == Values::kBFloat16) {
    return matmul_transposed<PlainGroup<WeightsBF16>>;
  } else {
    return matmul_transposed<CodedGroup<kLayout>>;
  }
}

template <int... kEncoding>
constexpr TransposedKernels transposed_kernels(std::integer_sequence<int, kEncoding...>) {
  return {{transposed_matmul<kLayouts[kEncoding]>()...}};
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
