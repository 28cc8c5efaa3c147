// Matrices that a file holds the other way round.
#pragma once

#include <cstdint>

#include "engine/tensor/packed_matrix.h"

namespace hearth::engine {

// Rows or columns of a tensor: `count` of them, in runs of `run` neighbours at every `step`-th
// place from `first` on.
struct Choice {
  int64_t first = 0;
  int64_t count = 0;
  int64_t step = 1;
  int64_t run = 1;  // of rows; columns have no runs
};

// The geometry of the view's columns `outputs` as rows, with no data yet. REQUIRES: the view's
// numbers are F32, F16 or BF16. Scales belong to inputs: they could not follow, if those become
// outputs. kernels::Kernels::matmul_transposed takes any matrix as it is.
PackedMatrix transposed_geometry(const TensorView& view, const Choice& outputs);

// Packs the view's rows [begin, end), which are the matrix's columns. Threads may pack different
// rows together. REQUIRES: matrix.data has room for bytes(), zeroed.
void pack_transposed(const TensorView& view, const Choice& outputs, const PackedMatrix& matrix,
                     int64_t begin, int64_t end);

}  // namespace hearth::engine
