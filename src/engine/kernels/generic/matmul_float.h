// Products of packed weights with float activations, over simd.h and generic/weights.h, included
// first.
#pragma once

#include "engine/kernels/generic/matmul.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

template <int kRows, int kBlocks>
HEARTH_SIMD void clear(F32x16 (&sums)[kBlocks][kRows]) {
  for (int b = 0; b < kBlocks; ++b) {
    for (int i = 0; i < kRows; ++i) sums[b][i] = zero();
  }
}

template <int kRows, int kBlocks>
HEARTH_SIMD void copy_out(const F32x16 (&sums)[kBlocks][kRows], F32x16* out) {
  for (int b = 0; b < kBlocks; ++b) {
    for (int i = 0; i < kRows; ++i) out[b * kRows + i] = sums[b][i];
  }
}

// Weights that are floats.
template <class Weights>
struct PlainProduct {
  static constexpr bool kPlain = true;
  static constexpr bool kEveryCount = true;
  template <int kRows, int kBlocks>
  static void run(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                  int64_t x_stride, F32x16* out) {
    const float* x = args.x + tile * kTileRows * args.columns + row;
    F32x16 sums[kBlocks][kRows];
    clear(sums);
    Ahead<kBlocks, false> ahead(args, block, Weights::kBytes);
    for (int64_t k = 0; k < args.columns; k += Weights::kStep) {
      ahead.fetch();
      F32x16 w[kBlocks][Weights::kStep];
      for (int b = 0; b < kBlocks; ++b) Weights::load(block + b * args.block_bytes, k, w[b]);
      for (int s = 0; s < Weights::kStep; ++s) {
        const float* at = x + (k + s) * x_stride;
        for (int i = 0; i < kRows; ++i) {
          const F32x16 x_i = set1(at[i]);
          for (int b = 0; b < kBlocks; ++b) sums[b][i] = fma(w[b][s], x_i, sums[b][i]);
        }
      }
    }
    copy_out(sums, out);
  }
};

// Weights that are codes.
template <Layout kLayout>
struct CodedProduct {
  using Scale = Scaler<kLayout>;
  static constexpr bool kPlain = false;
  // Where quantised activations are the rule, fewer shapes of the loop do.
  static constexpr bool kEveryCount = kLayout.values == Values::kFloat8;

  // One group of 32 columns of kBlocks blocks.
  template <int kRows, int kBlocks>
  struct Group {
    const Chapter (&chapters)[kBlocks];
    int64_t group;
    const float* x;
    int64_t x_stride;

    template <int kQuad>
    HEARTH_INLINE void add_quad(const F32x16* scales, const F32x16* mins,
                                F32x16 (&sums)[kBlocks][kRows]) const {
      for (int b = 0; b < kBlocks; ++b) {
        F32x16 w[4];
        Codes<kLayout>::template floats<kQuad>(chapters[b], group, w);
        for (int s = 0; s < 4; ++s) {
          if constexpr (Scale::kMins) w[s] = fma(w[s], scales[b], mins[b]);
          const float* at = x + (kQuad * 4 + s) * x_stride;
          for (int i = 0; i < kRows; ++i) sums[b][i] = fma(w[s], set1(at[i]), sums[b][i]);
        }
      }
    }

    template <int kHalf>
    HEARTH_INLINE void add_half(const F32x16* scales, const F32x16* mins,
                                F32x16 (&sums)[kBlocks][kRows]) const {
      add_quad<4 * kHalf>(scales, mins, sums);
      add_quad<4 * kHalf + 1>(scales, mins, sums);
      add_quad<4 * kHalf + 2>(scales, mins, sums);
      add_quad<4 * kHalf + 3>(scales, mins, sums);
    }

    // Without mins: the half group's sums, then their scale.
    template <int kHalf>
    HEARTH_INLINE void add_scaled_half(const F32x16* scales, F32x16 (&sums)[kBlocks][kRows]) const {
      F32x16 part[kBlocks][kRows];
      clear(part);
      add_half<kHalf>(nullptr, nullptr, part);
      for (int b = 0; b < kBlocks; ++b) {
        const F32x16 scale = mul(scales[b], Scale::half_scale(chapters[b], 2 * group + kHalf));
        for (int i = 0; i < kRows; ++i) sums[b][i] = fma(part[b][i], scale, sums[b][i]);
      }
    }

    // With mins: the half group's weights are scaled first.
    template <int kHalf>
    HEARTH_INLINE void add_offset_half(const F32x16* scales, const F32x16* mins,
                                       F32x16 (&sums)[kBlocks][kRows]) const {
      F32x16 half_scales[kBlocks];
      F32x16 half_mins[kBlocks];
      for (int b = 0; b < kBlocks; ++b) {
        const int64_t half = 2 * group + kHalf;
        half_scales[b] = mul(scales[b], Scale::half_scale(chapters[b], half));
        half_mins[b] = mul(mins[b], Scale::half_min(chapters[b], half));
      }
      add_half<kHalf>(half_scales, half_mins, sums);
    }

    HEARTH_INLINE void add_to(F32x16 (&sums)[kBlocks][kRows]) const {
      F32x16 scales[kBlocks];
      F32x16 mins[kBlocks];
      for (int b = 0; b < kBlocks; ++b) {
        scales[b] = Scale::scale(chapters[b], group);
        if constexpr (Scale::kMins) mins[b] = Scale::min(chapters[b], group);
      }
      if constexpr (Scale::kMins && Scale::kHalves) {
        add_offset_half<0>(scales, mins, sums);
        add_offset_half<1>(scales, mins, sums);
      } else if constexpr (Scale::kMins) {
        add_half<0>(scales, mins, sums);
        add_half<1>(scales, mins, sums);
      } else if constexpr (Scale::kHalves) {
        add_scaled_half<0>(scales, sums);
        add_scaled_half<1>(scales, sums);
      } else {
        F32x16 part[kBlocks][kRows];
        clear(part);
        add_half<0>(nullptr, nullptr, part);
        add_half<1>(nullptr, nullptr, part);
        for (int b = 0; b < kBlocks; ++b) {
          for (int i = 0; i < kRows; ++i) sums[b][i] = fma(part[b][i], scales[b], sums[b][i]);
        }
      }
    }
  };

  template <int kRows, int kBlocks>
  static void run(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                  int64_t x_stride, F32x16* out) {
    const float* x = args.x + tile * kTileRows * args.columns + row;
    F32x16 sums[kBlocks][kRows];
    clear(sums);
    Ahead<kBlocks, false> ahead(args, block, group_bytes(args));
    for (int64_t k = 0; k < args.columns; k += kChapterColumns) {
      Chapter chapters[kBlocks];
      for (int b = 0; b < kBlocks; ++b) {
        chapters[b] = chapter_of<kLayout>(args, block + b * args.block_bytes, k);
      }
      for (int64_t group = 0; group < chapters[0].columns / kGroup; ++group) {
        ahead.fetch();
        Group<kRows, kBlocks>{chapters, group, x, x_stride}.add_to(sums);
        x += kGroup * x_stride;
      }
    }
    copy_out(sums, out);
  }
};

// One row's sums would wait for their own last addition: two blocks take turns. Many rows of plain
// floats share their broadcasts among two blocks, if the registers hold as many sums.
template <class Product>
void matmul(const MatmulArgs& args) {
  constexpr const RowStep* kSingles = row_steps<Product, 1, kFloatRows>();
  constexpr const RowStep *kPairs = row_steps < Product, 2,
                          Product::kPlain && kFloatPairs ? kFloatRows : 1 > ();
  const bool pairs = args.rows == 1 || (Product::kPlain && kFloatPairs);
  matmul_blocks(args, pairs ? kPairs : nullptr, kSingles, kFloatRows);
}

template <Layout kLayout>
constexpr Matmul float_matmul() {
  if constexpr (kLayout.values == Values::kFloat32) {
    return matmul<PlainProduct<WeightsF32>>;
  } else if constexpr (kLayout.values == Values::kFloat16) {
    return matmul<PlainProduct<WeightsF16>>;
  } else if constexpr (kLayout.values == Values::kBFloat16) {
    return matmul<PlainProduct<WeightsBF16>>;
  } else {
    return matmul<CodedProduct<kLayout>>;
  }
}

template <int... kEncoding>
constexpr MatmulKernels float_kernels(std::integer_sequence<int, kEncoding...>) {
  return {{float_matmul<kLayouts[kEncoding]>()...}};
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
