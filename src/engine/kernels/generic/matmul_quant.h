// Products of packed weights with quantised activations, over simd.h and generic/weights.h,
// included first. For a group of 32 columns, where activations are xs * x and weights s * (c - o) +
// m with bytes c, a sum is
//   xs * (s * (sum of c * x - o * sum of x) + m * sum of x)
// with integers in the inner brackets and the sums of x at hand; where half groups have small
// scales and mins of their own, s and m are those times a common factor.
#pragma once

#include "engine/kernels/generic/matmul.h"

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
    const MatmulArgs& args;
    const std::byte* block;
    int64_t group;
    const std::byte* x;
    int64_t x_stride;
    const float* x_scales;
    const int32_t* x_sums;  // of the first half group, then of the second

    template <int kQuad>
    HEARTH_INLINE void add_quad(DotSum (&sums)[kRows]) const {
      const DotWeights w =
          dot_weights<Code::kMax>(Code::template quad<kQuad>(block, args.columns, group));
      const std::byte* at = x + kQuad * x_stride * kQuadBytes;
      for (int i = 0; i < kRows; ++i) sums[i] = dot_step(sums[i], w, at + i * kQuadBytes);
    }

    template <int kHalf>
    HEARTH_INLINE void add_half(DotSum (&sums)[kRows]) const {
      add_quad<4 * kHalf>(sums);
      add_quad<4 * kHalf + 1>(sums);
      add_quad<4 * kHalf + 2>(sums);
      add_quad<4 * kHalf + 3>(sums);
    }

    // The half group's products, times its small scale.
    template <int kHalf>
    HEARTH_INLINE void half_products(F32x16 (&products)[kRows]) const {
      DotSum sums[kRows];
      for (int i = 0; i < kRows; ++i) {
        sums[i] = dot_start(-Code::kDotOffset * x_sums[kHalf * x_stride + i]);
      }
      add_half<kHalf>(sums);
      const F32x16 scale = Scale::half_scale(args, block, 2 * group + kHalf);
      for (int i = 0; i < kRows; ++i) {
        const F32x16 sum = to_float(dot_finish(sums[i]));
        products[i] = kHalf == 0 ? mul(sum, scale) : fma(sum, scale, products[i]);
      }
    }

    HEARTH_INLINE void group_products(F32x16 (&products)[kRows]) const {
      if constexpr (Scale::kHalves) {
        half_products<0>(products);
        half_products<1>(products);
      } else {
        DotSum sums[kRows];
        for (int i = 0; i < kRows; ++i) {
          sums[i] = dot_start(-Code::kDotOffset * (x_sums[i] + x_sums[x_stride + i]));
        }
        add_half<0>(sums);
        add_half<1>(sums);
        for (int i = 0; i < kRows; ++i) products[i] = to_float(dot_finish(sums[i]));
      }
    }

    HEARTH_INLINE void add_mins(F32x16 (&total)[kRows]) const {
      const F32x16 min = Scale::min(args, block, group);
      if constexpr (Scale::kHalves) {
        const F32x16 first = Scale::half_min(args, block, 2 * group);
        const F32x16 last = Scale::half_min(args, block, 2 * group + 1);
        for (int i = 0; i < kRows; ++i) {
          const F32x16 sum = fma(last, set1(static_cast<float>(x_sums[x_stride + i])),
                                 mul(first, set1(static_cast<float>(x_sums[i]))));
          total[i] = fma(sum, mul(min, set1(x_scales[i])), total[i]);
        }
      } else {
        for (int i = 0; i < kRows; ++i) {
          const auto sum = static_cast<float>(x_sums[i] + x_sums[x_stride + i]);
          total[i] = fma(min, set1(x_scales[i] * sum), total[i]);
        }
      }
    }

    HEARTH_INLINE void add_to(F32x16 (&total)[kRows]) const {
      F32x16 products[kRows];
      group_products(products);
      const F32x16 scale = Scale::scale(args, block, group);
      for (int i = 0; i < kRows; ++i) {
        total[i] = fma(products[i], mul(scale, set1(x_scales[i])), total[i]);
      }
      if constexpr (Scale::kMins) add_mins(total);
    }
  };

  template <int kRows, int kBlocks>
  static void run(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                  int64_t x_stride, F32x16* out) {
    static_assert(kBlocks == 1);
    const int64_t groups = args.columns / kGroup;
    const int64_t first_row = tile * kTileRows;
    const std::byte* x = args.xq + (first_row * args.columns / 4 + row) * kQuadBytes;
    const float* x_scales = args.xq_scales + first_row * groups + row;
    const int32_t* x_sums = args.xq_sums + first_row * groups * 2 + row;
    F32x16 total[kRows];
    for (int i = 0; i < kRows; ++i) total[i] = zero();
    for (int64_t group = 0; group < groups; ++group) {
      Group<kRows>{args, block, group, x, x_stride, x_scales, x_sums}.add_to(total);
      x += kGroup / 4 * kQuadBytes * x_stride;
      x_scales += x_stride;
      x_sums += 2 * x_stride;
    }
    for (int i = 0; i < kRows; ++i) out[i] = total[i];
  }
};

template <Layout kLayout>
void matmul_q(const MatmulArgs& args) {
  using Steps = RowSteps<QuantProduct<kLayout>, std::make_integer_sequence<int, kQuantRows>>;
  matmul_blocks(args, Steps::kSteps, kQuantRows, nullptr, 1);
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
