// From a file's rows to packed blocks (kernels/layout.h), one row at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/tensor/packed_matrix.h"

namespace hearth::engine {

// Writes row `row` of the view to lane n of a block of the matrix.
void pack_row(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
              std::byte* block);

}  // namespace hearth::engine
