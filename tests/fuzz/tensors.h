// Decoding the tensors of a file that was made up.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/model_files.h"
#include "engine/tensor/packed_matrix.h"

namespace hearth::fuzz {

// Packs the tensor as a loader does, and reads its first and last row back.
inline void decode(const engine::TensorView& view) {
  constexpr int64_t kNumbersMax = 1 << 16;  // what is larger takes time and shows nothing new
  if (view.rows <= 0 || view.columns <= 0 || view.rows > kNumbersMax / view.columns) return;
  engine::PackedMatrix matrix(view);
  std::vector<std::byte> packed(static_cast<size_t>(matrix.bytes()) + 64);
  const auto misaligned = reinterpret_cast<uintptr_t>(packed.data()) % 64;
  matrix.data = packed.data() + (64 - misaligned) % 64;
  engine::pack_blocks(view, matrix, 0, matrix.blocks());
  std::vector<float> row(static_cast<size_t>(view.columns));
  engine::unpack_row(matrix, 0, row.data());
  engine::unpack_row(matrix, view.rows - 1, row.data());
}

}  // namespace hearth::fuzz
