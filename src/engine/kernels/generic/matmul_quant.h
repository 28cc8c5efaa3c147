// Products of packed weights with quantised activations, over simd.h and generic/weights.h,
// included first. For a group of 32 columns, where activations are xs * x and weights s * (c - o) +
// m with bytes c, a sum is
//   s * xs * (sum of c * x - o * sum of x) + m * xs * (sum of x)
// with integers in the brackets and the sums of x at hand; the same for a half group, where half
// groups have scales and mins of their own.
#pragma once

#include "engine/kernels/generic/panel_quant.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

template <Layout kLayout>
struct QuantProduct {
  using Code = Codes<kLayout>;
  using Scale = Scaler<kLayout>;
  static constexpr bool kEveryCount = true;

  // One group of some blocks and kRows rows of a tile of x_stride.
  template <int kRows, int kBlocks>
  struct Group {
    const Chapter (&chapters)[kBlocks];
    int64_t group;
    const std::byte* x;
    int64_t x_stride;
    const float* x_scales;
    const int32_t* x_sums;  // of the first half group, then of the second

    template <int kStep, int kEnd>
    HEARTH_INLINE void add_steps(DotSum (&sums)[kBlocks][kRows]) const {
      DotWeights w[kBlocks];
      for (int b = 0; b < kBlocks; ++b) w[b] = Code::template step<kStep>(chapters[b], group);
      const std::byte* at = x + kStep * x_stride * kStepBytes;
      for (int i = 0; i < kRows; ++i) {
        for (int b = 0; b < kBlocks; ++b) {
          sums[b][i] = dot_step(sums[b][i], w[b], at + i * kStepBytes);
        }
      }
      if constexpr (kStep + 1 < kEnd) add_steps<kStep + 1, kEnd>(sums);
    }

    // The unit of columns from half group kHalf on.
    template <int kHalf, int kTotals>
    HEARTH_INLINE void add_unit(F32x16 (&total)[kBlocks][kTotals], int row) const {
      int32_t x_unit_sums[kRows];
      DotSum sums[kBlocks][kRows];
      for (int i = 0; i < kRows; ++i) {
        x_unit_sums[i] = x_sums[kHalf * x_stride + i];
        if constexpr (!Scale::kHalves) x_unit_sums[i] += x_sums[x_stride + i];
        for (int b = 0; b < kBlocks; ++b) {
          sums[b][i] = dot_start(-Code::kDotOffset * x_unit_sums[i]);
        }
      }
      constexpr int kSteps = (Scale::kHalves ? kHalfGroup : kGroup) / kStepColumns;
      add_steps<kHalf * kSteps, (kHalf + 1) * kSteps>(sums);
      for (int b = 0; b < kBlocks; ++b) {
        const F32x16 scale = Scale::unit_scale(chapters[b], group, kHalf);
        for (int i = 0; i < kRows; ++i) {
          F32x16& sum = total[b][row + i];
          sum = fma(to_float(dot_finish(sums[b][i])), mul(scale, set1(x_scales[i])), sum);
        }
        if constexpr (Scale::kMins) {
          const F32x16 min = Scale::unit_min(chapters[b], group, kHalf);
          for (int i = 0; i < kRows; ++i) {
            const auto sum = static_cast<float>(x_unit_sums[i]);
            total[b][row + i] = fma(min, set1(x_scales[i] * sum), total[b][row + i]);
          }
        }
      }
    }

    template <int kTotals>
    HEARTH_INLINE void add_to(F32x16 (&total)[kBlocks][kTotals], int row) const {
      add_unit<0>(total, row);
      if constexpr (Scale::kHalves) add_unit<1>(total, row);
    }
  };

  template <int kRows, int kBlocks>
  static void run(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                  int64_t x_stride, F32x16* out) {
    const int64_t groups = args.columns / kGroup;
    const int64_t first_row = tile * kTileRows;
    const std::byte* x = args.xq + first_row * args.columns / 4 * kQuadBytes + row * kStepBytes;
    const float* x_scales = args.xq_scales + first_row * groups + row;
    const int32_t* x_sums = args.xq_sums + first_row * groups * 2 + row;
    F32x16 total[kBlocks][kRows];
    for (int b = 0; b < kBlocks; ++b) {
      for (int i = 0; i < kRows; ++i) total[b][i] = zero();
    }
    Ahead<kBlocks, (kBlocks > 1)> ahead(args, block, group_bytes(args));
    for (int64_t first = 0; first < args.columns; first += kChapterColumns) {
      Chapter chapters[kBlocks];
      for (int b = 0; b < kBlocks; ++b) {
        chapters[b] = chapter_of<kLayout>(args, block + b * args.block_bytes, first);
      }
      for (int64_t group = 0; group < chapters[0].columns / kGroup; ++group) {
        ahead.fetch();
        add_rows<0>(chapters, group, x, x_stride, x_scales, x_sums, total);
        x += kGroup / kStepColumns * kStepBytes * x_stride;
        x_scales += x_stride;
        x_sums += 2 * x_stride;
      }
    }
    for (int b = 0; b < kBlocks; ++b) {
      for (int i = 0; i < kRows; ++i) out[b * kRows + i] = total[b][i];
    }
  }

  // Rows kRow and after of one group, as many at a time as the registers hold sums of.
  template <int kRow, int kRows, int kBlocks>
  HEARTH_SIMD void add_rows(const Chapter (&chapters)[kBlocks], int64_t group, const std::byte* x,
                            int64_t x_stride, const float* x_scales, const int32_t* x_sums,
                            F32x16 (&total)[kBlocks][kRows]) {
    constexpr int kMost = kQuantRows / kBlocks;
    constexpr int kTaken = kRows - kRow < kMost ? kRows - kRow : kMost;
    Group<kTaken, kBlocks>{chapters, group,           x + kRow * kStepBytes,
                           x_stride, x_scales + kRow, x_sums + kRow}
        .add_to(total, kRow);
    if constexpr (kRow + kTaken < kRows) {
      add_rows<kRow + kTaken>(chapters, group, x, x_stride, x_scales, x_sums, total);
    }
  }
};

// Several rows share their broadcasts among two blocks, if the registers hold as many sums.
template <Layout kLayout>
void matmul_q(const MatmulArgs& args) {
  if (args.rows >= args.panel_rows) return panel_matmul_q<kLayout>(args);
  using Product = QuantProduct<kLayout>;
  if constexpr (kQuantPairs) {
    if (args.rows > 1) {
      return matmul_blocks(args, row_steps<Product, 2, kTileRows>(),
                           row_steps<Product, 1, kTileRows>(), kTileRows);
    }
  }
  matmul_blocks(args, nullptr, row_steps<Product, 1, kQuantRows>(), kQuantRows);
}

template <Layout kLayout>
constexpr Matmul quant_matmul() {
  if constexpr (kLayout.values > Values::kFloat8) {
    return matmul_q<kLayout>;
  } else {
    return nullptr;
  }
}

template <int... kEncoding>
constexpr MatmulKernels quant_kernels(std::integer_sequence<int, kEncoding...>) {
  return {{quant_matmul<kLayouts[kEncoding]>()...}};
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
