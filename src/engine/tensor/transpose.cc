#include "engine/tensor/transpose.h"

#include <cstring>
#include <vector>

#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"
#include "engine/tensor/decode.h"

namespace hearth::engine {

using kernels::kBlockRows;

PackedMatrix transposed_geometry(const TensorView& view, const Choice& outputs) {
  PackedMatrix matrix;
  matrix.encoding = view.encoding == Encoding::kBF16 ? Encoding::kBF16 : Encoding::kF32;
  matrix.rows = outputs.count;
  matrix.columns = view.rows;
  return matrix;
}

void pack_transposed(const TensorView& view, const Choice& outputs, const PackedMatrix& matrix,
                     int64_t begin, int64_t end) {
  std::vector<float> numbers(view.columns);
  for (int64_t k = begin; k < end; ++k) {
    decode_row(view, k, numbers.data());
    for (int64_t row = 0; row < matrix.rows; ++row) {
      std::byte* block = matrix.data + row / kBlockRows * matrix.block_bytes();
      const int64_t lane = row % kBlockRows;
      const float number = numbers[outputs.first + row * outputs.step];
      if (matrix.encoding == Encoding::kBF16) {
        const uint16_t half = kernels::to_bf16(number);
        std::memcpy(block + (k / 2 * kBlockRows + lane) * 4 + k % 2 * 2, &half, sizeof half);
      } else {
        std::memcpy(block + (k * kBlockRows + lane) * 4, &number, sizeof number);
      }
    }
  }
}

}  // namespace hearth::engine
