#include "engine/machine/sample_product.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hearth::engine {
namespace {

using kernels::kBlockRows;
using kernels::kGroup;
using kernels::kTileRows;

// What the numbers are does not matter, but zeros would share one page. As halves or as powers of
// two they are near 1: subnormal sums would be slow.
void fill_weights(const Buffer& memory, bool powers, ThreadPool& pool) {
  auto* words = reinterpret_cast<uint32_t*>(memory.data());
  pool.run([&](Worker& worker) {
    const Range range = worker.part(memory.bytes() / 4);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const uint32_t random = static_cast<uint32_t>(i) * 2654435761u;
      words[i] = powers ? (random & 0x0f0f0f0f) | 0x70707070 : random & 0x37ff37ff;
    }
  });
}

}  // namespace

Result<SampleProduct> SampleProduct::create(const kernels::Kernels& kernels, const Shape& shape,
                                            ThreadPool& pool) {
  SampleProduct sample(kernels);
  PackedMatrix& matrix = sample.matrix_;
  matrix.encoding = shape.encoding;
  const bool scales_apart = matrix.layout().scales == kernels::Scales::kGroups;
  if (scales_apart) {
    matrix.groups = {.shift = 1,  // of 64 columns
                     .type = kernels::GroupFloat::kF16,
                     .offset = shape.encoding == Encoding::kF8_E4M3 ? kernels::GroupOffset::kNone
                                                                    : kernels::GroupOffset::kMin};
  }
  matrix.columns = shape.columns;
  matrix.rows = kBlockRows * ((shape.bytes - 1) / matrix.block_bytes() + 1);
  HEARTH_TRY(sample.memory_, Buffer::allocate(matrix.bytes()));
  matrix.data = sample.memory_.data();
  const bool powers = matrix.layout().scales == kernels::Scales::kE8M0;
  fill_weights(sample.memory_, powers, pool);
  const kernels::SlabKernels* slabs = shape.slabs;
  if (slabs != nullptr && slabs->matmul[static_cast<int>(shape.encoding)] != nullptr) {
    sample.slab_kernels_ = slabs;
    HEARTH_TRY(sample.slabs_,
               Buffer::allocate(kernels::slabs_bytes(shape.rows_max, shape.columns)));
  }
  sample.fill_rows(shape.rows_max);
  return sample;
}

void SampleProduct::fill_rows(int rows) {
  const int64_t numbers = rows * matrix_.columns;
  std::vector<float> from(numbers);
  for (int64_t i = 0; i < numbers; ++i) from[i] = std::sin(static_cast<float>(i));
  x_.resize(numbers);
  xq_.resize(numbers / 4 * kernels::kQuadBytes);
  scales_.resize(numbers / kGroup);
  sums_.resize(numbers / kernels::kHalfGroup);
  out_.resize(rows * matrix_.rows);
  for (int first = 0; first < rows; first += kTileRows) {
    const int64_t at = first * matrix_.columns;
    const int m = std::min(kTileRows, rows - first);
    kernels_->tile_f32(&from[at], m, matrix_.columns, &x_[at]);
    kernels_->tile_q(&from[at], m, matrix_.columns, &xq_[at / 4 * kernels::kQuadBytes],
                     &scales_[at / kGroup], &sums_[at / kernels::kHalfGroup]);
  }
  for (int r = 0; slab_kernels_ != nullptr && r < rows; ++r) {
    slab_kernels_->fill(&from[r * matrix_.columns], matrix_.columns, r, rows, slabs_.data());
  }
}

kernels::Matmul SampleProduct::function() const {
  const auto encoding = static_cast<int>(matrix_.encoding);
  if (slab_kernels_ != nullptr) return slab_kernels_->matmul[encoding];
  return matrix_.quantised() ? kernels_->matmul_q[encoding] : kernels_->matmul[encoding];
}

void SampleProduct::run(int rows, Range blocks, std::byte* panel, int panel_rows) {
  function()({.weights = matrix_.data,
              .block_bytes = matrix_.block_bytes(),
              .groups = matrix_.groups,
              .columns = matrix_.columns,
              .rows = rows,
              .x = x_.data(),
              .xq = xq_.data(),
              .xq_scales = scales_.data(),
              .xq_sums = sums_.data(),
              .slabs = slabs_.data(),
              .out = out_.data(),
              .out_stride = matrix_.rows,
              .out_columns = matrix_.rows,
              .block_begin = blocks.begin,
              .block_end = blocks.end,
              .panel_rows = panel_rows,
              .panel = panel});
}

}  // namespace hearth::engine
