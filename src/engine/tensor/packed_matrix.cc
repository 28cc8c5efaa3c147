#include "engine/tensor/packed_matrix.h"

#include <algorithm>
#include <bit>

#include "engine/kernels/packed.h"
#include "engine/tensor/pack_rows.h"

namespace hearth::engine {

using kernels::GroupFloat;
using kernels::GroupFormat;
using kernels::GroupOffset;
using kernels::kBlockRows;
using kernels::kGroup;
using kernels::kHalfGroup;
using kernels::Layout;
using kernels::Values;

static_assert(kernels::kEncodings == static_cast<int>(Encoding::kMXFP4Split) + 1);

namespace {

// Groups of an odd multiple of 32 columns are packed as several smaller ones.
GroupFormat group_format(const TensorView& view) {
  const GroupScales& groups = view.groups;
  GroupFormat format;
  format.shift = groups.columns >= view.columns
                     ? kernels::kWholeRow
                     : std::countr_zero(static_cast<uint64_t>(groups.columns / kGroup));
  format.type = groups.type == Encoding::kF32   ? GroupFloat::kF32
                : groups.type == Encoding::kF16 ? GroupFloat::kF16
                                                : GroupFloat::kBF16;
  format.offset = view.encoding == Encoding::kF8_E4M3 ? GroupOffset::kNone
                  : !groups.biases.empty()            ? GroupOffset::kMin
                  : !groups.zeros.empty()             ? GroupOffset::kZero
                                                      : GroupOffset::kCentre;
  return format;
}

}  // namespace

PackedMatrix::PackedMatrix(const TensorView& view)
    : encoding(view.encoding), rows(view.rows), columns(view.columns) {
  if (layout().scales == kernels::Scales::kGroups) groups = group_format(view);
}

int64_t PackedMatrix::blocks() const { return kernels::round_up(rows, kBlockRows) / kBlockRows; }
int64_t PackedMatrix::padded_columns() const { return kernels::round_up(columns, kGroup); }

int64_t PackedMatrix::block_bytes() const {
  return kernels::packed_block_bytes(layout(), groups, padded_columns());
}

void pack_blocks(const TensorView& view, const PackedMatrix& matrix, int64_t begin, int64_t end) {
  for (int64_t b = begin; b < end; ++b) {
    std::byte* block = matrix.data + b * matrix.block_bytes();
    const int64_t first = b * kBlockRows;
    const int64_t count = std::min<int64_t>(kBlockRows, matrix.rows - first);
    pack_rows(view, first, static_cast<int>(count), matrix, block);
  }
}

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) {
  const std::byte* block = matrix.data + row / kBlockRows * matrix.block_bytes();
  const int64_t n = row % kBlockRows;
  const Layout& layout = matrix.layout();
  const int64_t padded = matrix.padded_columns();
  if (layout.values < Values::kFloat8) {
    for (int64_t k = 0; k < matrix.columns; ++k) {
      out[k] = kernels::float_at(layout.values, block, k, n);
    }
    return;
  }
  for (int64_t k = 0; k < matrix.columns; k += kHalfGroup) {
    kernels::Place place = kernels::place_of(layout, matrix.groups, block, padded, k);
    const kernels::Scaling scaling = kernels::scaling_at(layout, matrix.groups, place, n);
    const int64_t end = std::min(k + kHalfGroup, matrix.columns);
    for (int64_t j = k; j < end; ++j, ++place.k) {
      const uint8_t code = kernels::code_at(layout, place, n);
      out[j] = scaling.apply(kernels::value_of_code(layout.values, code));
    }
  }
}

}  // namespace hearth::engine
