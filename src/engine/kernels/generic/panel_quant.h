// Products of many rows with quantised activations. Some blocks at a time are unpacked to a panel,
// which stays in the cache while all rows of a chunk pass by: dot products then read operands that
// are ready, the same for every encoding. Over simd.h and generic/weights.h and matmul.h, included
// first. The arithmetic, and so every bit of the result, is that of matmul_quant.h.
#pragma once

#include "engine/kernels/generic/matmul.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Bytes of a chunk's activations, for them to stay in the second-level cache.
constexpr int64_t kChunkBytes = 512 << 10;

// Columns that share scales and mins, and quads of them.
constexpr int panel_unit(bool halves) { return halves ? kHalfGroup : kGroup; }

// kPanelBlocks blocks, each [K/kStepColumns] DotWeights, [K/unit][16] scales and as many mins.
struct Panel {
  std::byte* memory = nullptr;
  int64_t columns = 0;
  int offset = 0;  // of what dot products make of the codes
  int64_t codes_bytes() const {
    return columns / kStepColumns * static_cast<int64_t>(sizeof(DotWeights));
  }
  int64_t floats_bytes() const { return columns / kHalfGroup * kBlockRows * 4; }
  std::byte* codes(int block) const {
    return memory + block * (codes_bytes() + 2 * floats_bytes());
  }
  float* scales(int block) const { return reinterpret_cast<float*>(codes(block) + codes_bytes()); }
  float* mins(int block) const {
    return reinterpret_cast<float*>(codes(block) + codes_bytes() + floats_bytes());
  }
};
static_assert(sizeof(DotWeights) <= kStepColumns / 4 * kPanelQuadBytes);
static_assert(kPanelBlocks <= kPanelBlocksMax);

template <Layout kLayout>
struct PanelFiller {
  using Scale = Scaler<kLayout>;
  static constexpr int kGroupSteps = kGroup / kStepColumns;

  template <int kStep>
  HEARTH_SIMD void fill_steps(const Chapter& chapter, int64_t group, std::byte* codes) {
    store_weights(codes, Codes<kLayout>::template step<kStep>(chapter, group));
    codes += sizeof(DotWeights);
    if constexpr (kStep + 1 < kGroupSteps) fill_steps<kStep + 1>(chapter, group, codes);
  }

  static void fill(const MatmulArgs& args, const std::byte* block, const Panel& panel, int at) {
    std::byte* codes = panel.codes(at);
    float* scales = panel.scales(at);
    float* mins = panel.mins(at);
    Ahead<1, false> ahead(args, block, group_bytes(args));
    for (int64_t i = 0; i < args.columns / kGroup; ++i) {
      const Chapter chapter = chapter_of<kLayout>(args, block, i * kGroup);
      const int64_t group = i % kChapterGroups;
      ahead.fetch();
      fill_steps<0>(chapter, group, codes);
      codes += kGroupSteps * sizeof(DotWeights);
      for (int half = 0; half < kGroup / panel_unit(Scale::kHalves); ++half) {
        store(scales, Scale::unit_scale(chapter, group, half));
        scales += kBlockRows;
        if constexpr (Scale::kMins) {
          store(mins, Scale::unit_min(chapter, group, half));
          mins += kBlockRows;
        }
      }
    }
  }
};

template <bool kHalves, bool kMins, bool kOffset>
struct PanelProduct {
  static constexpr int kUnit = panel_unit(kHalves);
  static constexpr int kSteps = kUnit / kStepColumns;

  // One of the sweeps over a unit's steps.
  template <int kSweep, int kRows, int kBlocks>
  HEARTH_SIMD void sweep(const std::byte* const (&codes)[kBlocks], const std::byte* x,
                         int64_t x_stride, SweepSum (&sums)[kBlocks][kRows]) {
    HEARTH_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      DotWeights w[kBlocks];
      for (int b = 0; b < kBlocks; ++b) w[b] = load_weights(codes[b] + step * sizeof(DotWeights));
      const std::byte* at = x + step * x_stride * kStepBytes;
      for (int i = 0; i < kRows; ++i) {
        const auto a = dot_activations<kSweep>(at + i * kStepBytes);
        for (int b = 0; b < kBlocks; ++b) sums[b][i] = dot_sweep(sums[b][i], w[b], a);
      }
    }
  }

  // totals [kBlocks][kRows] of rows `row` and after of the tile that starts at first_row.
  template <int kRows, int kBlocks>
  static void run(const MatmulArgs& args, const Panel& panel, int64_t first_row, int row,
                  int64_t x_stride, F32x16* totals) {
    const int64_t groups = args.columns / kGroup;
    const std::byte* x = args.xq + first_row * args.columns / 4 * kQuadBytes + row * kStepBytes;
    const float* x_scales = args.xq_scales + first_row * groups + row;
    const int32_t* x_sums = args.xq_sums + first_row * groups * 2 + row;
    const std::byte* codes[kBlocks];
    for (int b = 0; b < kBlocks; ++b) codes[b] = panel.codes(b);
    F32x16 sums_so_far[kBlocks][kRows];
    for (int b = 0; b < kBlocks; ++b) {
      for (int i = 0; i < kRows; ++i) sums_so_far[b][i] = zero();
    }
    for (int64_t unit = 0; unit < args.columns / kUnit; ++unit) {
      SweepSum sums[kBlocks][kRows];
      for (int b = 0; b < kBlocks; ++b) {
        for (int i = 0; i < kRows; ++i) sums[b][i] = sweep_start();
      }
      sweep<0>(codes, x, x_stride, sums);
      if constexpr (kDotSweeps == 2) {
        for (int b = 0; b < kBlocks; ++b) {
          for (int i = 0; i < kRows; ++i) sums[b][i] = dot_next_sweep(sums[b][i]);
        }
        sweep<1>(codes, x, x_stride, sums);
      }
      F32x16 scales[kBlocks];
      F32x16 mins[kBlocks];
      for (int b = 0; b < kBlocks; ++b) {
        scales[b] = load(panel.scales(b) + unit * kBlockRows);
        if constexpr (kMins) mins[b] = load(panel.mins(b) + unit * kBlockRows);
      }
      float min_factors[kRows];
      int32_t offsets[kRows];
      for (int i = 0; i < kRows; ++i) {
        const int32_t x_sum = kHalves ? x_sums[i] : x_sums[i] + x_sums[x_stride + i];
        if constexpr (kMins) min_factors[i] = x_scales[i] * static_cast<float>(x_sum);
        if constexpr (kOffset) offsets[i] = -panel.offset * x_sum;
      }
      for (int i = 0; i < kRows; ++i) {
        const F32x16 x_scale = set1(x_scales[i]);
        for (int b = 0; b < kBlocks; ++b) {
          F32x16& total = sums_so_far[b][i];
          I32x16 sum = sweep_finish(sums[b][i]);
          if constexpr (kOffset) sum = add(sum, set1_int(offsets[i]));
          total = fma(to_float(sum), mul(scales[b], x_scale), total);
          if constexpr (kMins) total = fma(mins[b], set1(min_factors[i]), total);
        }
      }
      for (int b = 0; b < kBlocks; ++b) codes[b] += kSteps * sizeof(DotWeights);
      x += kSteps * kStepBytes * x_stride;
      x_sums += kUnit / kHalfGroup * x_stride;
      if (!kHalves || unit % 2 == 1) x_scales += x_stride;
    }
    for (int b = 0; b < kBlocks; ++b) {
      for (int i = 0; i < kRows; ++i) totals[b * kRows + i] = sums_so_far[b][i];
    }
  }
};

using PanelStep = void (*)(const MatmulArgs& args, const Panel& panel, int64_t first_row, int row,
                           int64_t x_stride, F32x16* totals);

// By the logarithm of the rows taken.
template <class Product, int kBlocks>
constexpr PanelStep kPanelSteps[] = {
    Product::template run<1, kBlocks>, Product::template run<2, kBlocks>,
    Product::template run<4, kBlocks>, Product::template run<kPanelRows, kBlocks>};

HEARTH_SIMD void multiply_panel(const MatmulArgs& args, const Panel& panel, const PanelStep* steps,
                                int64_t block, int blocks, int row_begin, int row_end) {
  for (int first = row_begin; first < row_end; first += kTileRows) {
    const int m = args.rows - first < kTileRows ? args.rows - first : kTileRows;
    for (int row = 0; row < m;) {
      const int left = m - row;
      const int power = left >= kPanelRows ? 3 : left >= 4 ? 2 : left >= 2 ? 1 : 0;
      const int taken = power == 3 ? kPanelRows : 1 << power;
      prefetch_sums(args, first + row, taken, block, blocks);
      F32x16 totals[kPanelBlocks * kPanelRows];
      steps[power](args, panel, first, row, m, totals);
      store_sums(args, totals, first + row, taken, block, blocks);
      row += taken;
    }
  }
}

template <Layout kLayout>
void panel_matmul_q(const MatmulArgs& args) {
  using Scale = Scaler<kLayout>;
  constexpr int kOffset = Codes<kLayout>::kDotOffset;
  using Product = PanelProduct<Scale::kHalves, Scale::kMins, kOffset != 0>;
  const Panel panel{args.panel, args.columns, kOffset};
  const int64_t fitting = kChunkBytes / (args.columns / 4 * kQuadBytes);
  const int chunk =
      static_cast<int>(fitting < 4 * kTileRows ? 4 * kTileRows : fitting / kTileRows * kTileRows);
  for (int row = 0; row < args.rows; row += chunk) {
    const int row_end = args.rows - row < chunk ? args.rows : row + chunk;
    for (int64_t b = args.block_begin; b < args.block_end; b += kPanelBlocks) {
      const bool whole = args.block_end - b >= kPanelBlocks;
      const int blocks = whole ? kPanelBlocks : 1;
      for (int i = 0; i < blocks; ++i) {
        PanelFiller<kLayout>::fill(args, args.weights + (b + i) * args.block_bytes, panel, i);
      }
      multiply_panel(args, panel,
                     whole ? kPanelSteps<Product, kPanelBlocks> : kPanelSteps<Product, 1>, b,
                     blocks, row, row_end);
    }
  }
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
