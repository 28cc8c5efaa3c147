// A weight matrix in memory, in the layout of kernels/layout.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/layout.h"
#include "engine/model_files.h"

namespace hearth::engine {

// Whether products with quantised activations exist: the numbers are integers before scaling.
inline bool is_quantised(Encoding encoding) {
  return kernels::kLayouts[static_cast<int>(encoding)].values > kernels::Values::kFloat8;
}

// A view: the bytes belong to the model. The encoding is the file's; packing loses nothing.
struct PackedMatrix {
  Encoding encoding = Encoding::kF32;
  kernels::GroupFormat groups;  // of encodings with scales of their own
  int64_t rows = 0;             // outputs
  int64_t columns = 0;          // inputs
  std::byte* data = nullptr;

  PackedMatrix() = default;
  // The geometry of `view`, with no data yet.
  explicit PackedMatrix(const TensorView& view);

  const kernels::Layout& layout() const { return kernels::kLayouts[static_cast<int>(encoding)]; }
  int64_t blocks() const;          // of 16 rows
  int64_t padded_columns() const;  // a multiple of 32
  int64_t block_bytes() const;     // a multiple of 64
  int64_t bytes() const { return blocks() * block_bytes(); }
  bool quantised() const { return is_quantised(encoding); }
};

// Packs the blocks [begin, end) from the tensor that `matrix` was made for. Threads may pack
// different blocks together.
// REQUIRES: matrix.data has room for bytes(), all zero or from an earlier packing.
void pack_blocks(const TensorView& view, const PackedMatrix& matrix, int64_t begin, int64_t end);

// Decodes one row to out [columns].
void unpack_row(const PackedMatrix& matrix, int64_t row, float* out);

}  // namespace hearth::engine
