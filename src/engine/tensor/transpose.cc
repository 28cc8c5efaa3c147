#include "engine/tensor/transpose.h"

#include <algorithm>
#include <cstring>

#include "engine/tensor/file_blocks.h"

namespace hearth::engine {
namespace {

using kernels::kBlockRows;
using kernels::kGroup;

// Where column k of a block begins, and how far apart its lanes are.
struct Column {
  int64_t at;
  int64_t stride;
};
Column column_of(Encoding encoding, int64_t k) {
  switch (encoding) {
    case Encoding::kF16:
      return {k * kBlockRows * 2, 2};
    case Encoding::kBF16:
      return {k / 2 * kBlockRows * 4 + k % 2 * 2, 4};
    default:
      return {k * kBlockRows * 4, 4};
  }
}

// Up to kGroup of the file's rows, as numbers of type T, to the columns from k on.
template <class T>
void pack_columns(const std::byte* const* rows, int count, const Choice& outputs,
                  const PackedMatrix& matrix, int64_t k) {
  for (int64_t row = 0; row < matrix.rows; row += kBlockRows) {
    std::byte* block = matrix.data + row / kBlockRows * matrix.block_bytes();
    const int64_t lanes = std::min<int64_t>(kBlockRows, matrix.rows - row);
    for (int i = 0; i < count; ++i) {
      const Column column = column_of(matrix.encoding, k + i);
      const std::byte* from = rows[i] + (outputs.first + row * outputs.step) * sizeof(T);
      for (int64_t lane = 0; lane < lanes; ++lane) {
        std::memcpy(block + column.at + lane * column.stride,
                    from + lane * outputs.step * sizeof(T), sizeof(T));
      }
    }
  }
}

}  // namespace

PackedMatrix transposed_geometry(const TensorView& view, const Choice& outputs) {
  return PackedMatrix(
      TensorView{.encoding = view.encoding, .rows = outputs.count, .columns = view.rows});
}

void pack_transposed(const TensorView& view, const Choice& outputs, const PackedMatrix& matrix,
                     int64_t begin, int64_t end) {
  const bool halves = matrix.encoding != Encoding::kF32;
  const auto pack = halves ? pack_columns<uint16_t> : pack_columns<uint32_t>;
  for (int64_t k = begin; k < end; k += kGroup) {
    const int count = static_cast<int>(std::min<int64_t>(kGroup, end - k));
    const std::byte* rows[kGroup];
    for (int i = 0; i < count; ++i) rows[i] = file_row(view, k + i);
    pack(rows, count, outputs, matrix, k);
  }
}

}  // namespace hearth::engine
