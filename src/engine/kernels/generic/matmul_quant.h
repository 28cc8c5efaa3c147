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

  // One group of a block and kRows rows of a tile of x_stride.
  template <int kRows>
  struct Group {
    const Chapter& chapter;
    int64_t group;
    const std::byte* x;
    int64_t x_stride;
    const float* x_scales;
    const int32_t* x_sums;  // of the first half group, then of the second

    template <int kStep, int kEnd>
    HEARTH_INLINE void add_steps(DotSum (&sums)[kRows]) const {
      const DotWeights w = Code::template step<kStep>(chapter, group);
      const std::byte* at = x + kStep * x_stride * kStepBytes;
      for (int i = 0; i < kRows; ++i) sums[i] = dot_step(sums[i], w, at + i * kStepBytes);
      if constexpr (kStep + 1 < kEnd) add_steps<kStep + 1, kEnd>(sums);
    }

    // The unit of columns from half group kHalf on.
    template <int kHalf>
    HEARTH_INLINE void add_unit(F32x16 (&total)[kRows]) const {
      int32_t x_unit_sums[kRows];
      DotSum sums[kRows];
      for (int i = 0; i < kRows; ++i) {
        x_unit_sums[i] = x_sums[kHalf * x_stride + i];
        if constexpr (!Scale::kHalves) x_unit_sums[i] += x_sums[x_stride + i];
        sums[i] = dot_start(-Code::kDotOffset * x_unit_sums[i]);
      }
      constexpr int kSteps = (Scale::kHalves ? kHalfGroup : kGroup) / kStepColumns;
      add_steps<kHalf * kSteps, (kHalf + 1) * kSteps>(sums);
      const F32x16 scale = Scale::unit_scale(chapter, group, kHalf);
      for (int i = 0; i < kRows; ++i) {
        total[i] = fma(to_float(dot_finish(sums[i])), mul(scale, set1(x_scales[i])), total[i]);
      }
      if constexpr (Scale::kMins) {
        const F32x16 min = Scale::unit_min(chapter, group, kHalf);
        for (int i = 0; i < kRows; ++i) {
          const auto sum = static_cast<float>(x_unit_sums[i]);
          total[i] = fma(min, set1(x_scales[i] * sum), total[i]);
        }
      }
    }

    HEARTH_INLINE void add_to(F32x16 (&total)[kRows]) const {
      add_unit<0>(total);
      if constexpr (Scale::kHalves) add_unit<1>(total);
    }
  };

  template <int kRows, int kBlocks>
  static void run(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                  int64_t x_stride, F32x16* out) {
    static_assert(kBlocks == 1);
    const int64_t groups = args.columns / kGroup;
    const int64_t first_row = tile * kTileRows;
    const std::byte* x = args.xq + first_row * args.columns / 4 * kQuadBytes + row * kStepBytes;
    const float* x_scales = args.xq_scales + first_row * groups + row;
    const int32_t* x_sums = args.xq_sums + first_row * groups * 2 + row;
    F32x16 total[kRows];
    for (int i = 0; i < kRows; ++i) total[i] = zero();
    Ahead ahead(args, block);
    for (int64_t first = 0; first < args.columns; first += kChapterColumns) {
      const Chapter chapter = chapter_of<kLayout>(args, block, first);
      for (int64_t group = 0; group < chapter.columns / kGroup; ++group) {
        ahead.fetch_group();
        Group<kRows>{chapter, group, x, x_stride, x_scales, x_sums}.add_to(total);
        x += kGroup / kStepColumns * kStepBytes * x_stride;
        x_scales += x_stride;
        x_sums += 2 * x_stride;
      }
    }
    for (int i = 0; i < kRows; ++i) out[i] = total[i];
  }
};

template <Layout kLayout>
void matmul_q(const MatmulArgs& args) {
  if (args.rows >= args.panel_rows) return panel_matmul_q<kLayout>(args);
  matmul_blocks(args, nullptr, row_steps<QuantProduct<kLayout>, 1, kQuantRows>(), kQuantRows);
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
