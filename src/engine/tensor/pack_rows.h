// From a file's rows to packed blocks (kernels/layout.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/tensor/packed_matrix.h"

namespace hearth::engine {

// Writes `count` rows of the view, from row `first` on, to the lanes 0 and up of a block of the
// matrix. Of the other lanes codes become zero and the rest stays as it is. REQUIRES: 1 <= count <=
// 16.
void pack_rows(const TensorView& view, int64_t first, int count, const PackedMatrix& matrix,
               std::byte* block);

}  // namespace hearth::engine
