// Products with transposed matrices, over simd.h and generic/weights.h, included first. Lanes are
// inputs: 32 columns of all blocks are unpacked to floats once for a chunk of rows, and each output
// is a dot product of such a column with a row.
#pragma once

#include "engine/kernels/generic/matmul.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Group `group` of a block as floats: column i goes to out + i * stride.

template <class Weights>
struct PlainGroup {
  static void unpack(const MatmulArgs&, const std::byte* block, int64_t group, float* out,
                     int64_t stride) {
    for (int64_t k = 0; k < kGroup; k += Weights::kStep) {
      F32x16 w[Weights::kStep];
      Weights::load(block, group * kGroup + k, w);
      for (int s = 0; s < Weights::kStep; ++s) store(out + (k + s) * stride, w[s]);
    }
  }
};

template <Layout kLayout>
struct CodedGroup {
  using Scale = Scaler<kLayout>;

  template <int kQuad>
  HEARTH_SIMD void unpack_quad(const MatmulArgs& args, const std::byte* block, int64_t group,
                               F32x16 scale, F32x16 min, float* out, int64_t stride) {
    F32x16 w[4];
    Codes<kLayout>::template floats<kQuad>(block, args.columns, group, w);
    for (int s = 0; s < 4; ++s) {
      const F32x16 scaled = Scale::kMins ? fma(w[s], scale, min) : mul(w[s], scale);
      store(out + (kQuad * 4 + s) * stride, scaled);
    }
  }

  template <int kHalf>
  HEARTH_SIMD void unpack_half(const MatmulArgs& args, const std::byte* block, int64_t group,
                               float* out, int64_t stride) {
    const F32x16 scale = Scale::unit_scale(args, block, group, kHalf);
    F32x16 min = zero();
    if constexpr (Scale::kMins) min = Scale::unit_min(args, block, group, kHalf);
    unpack_quad<4 * kHalf>(args, block, group, scale, min, out, stride);
    unpack_quad<4 * kHalf + 1>(args, block, group, scale, min, out, stride);
    unpack_quad<4 * kHalf + 2>(args, block, group, scale, min, out, stride);
    unpack_quad<4 * kHalf + 3>(args, block, group, scale, min, out, stride);
  }

  static void unpack(const MatmulArgs& args, const std::byte* block, int64_t group, float* out,
                     int64_t stride) {
    unpack_half<0>(args, block, group, out, stride);
    unpack_half<1>(args, block, group, out, stride);
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

template <class Group>
void matmul_transposed(const TransposedArgs& args) {
  const MatmulArgs matrix{.block_bytes = args.block_bytes,
                          .groups = args.groups,
                          .columns = round_up(args.outputs, kGroup)};
  const int64_t width = round_up(args.inputs, kBlockRows);
  for (int first = 0; first < args.rows; first += kChunkRows) {
    const int end = first + kChunkRows < args.rows ? first + kChunkRows : args.rows;
    for (int64_t column = 0; column < args.outputs; column += kGroup) {
      for (int64_t lane = 0; lane < width; lane += kBlockRows) {
        Group::unpack(matrix, args.weights + lane / kBlockRows * args.block_bytes, column / kGroup,
                      args.panel + lane, width);
      }
      for (int row = first; row < end; ++row) multiply_panel(args, row, column, width);
    }
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
