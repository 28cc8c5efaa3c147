// Tensors as floats, straight from the file's bytes: for vectors, for what is computed once, and as
// the definition that packed matrices and kernels are tested against.
#pragma once

#include <cstdint>

#include "engine/model_files.h"

namespace hearth::engine {

// Row `row` of the view, to out [columns].
void decode_row(const TensorView& view, int64_t row, float* out);

// The whole view, row-major, to out [rows * columns].
void decode_tensor(const TensorView& view, float* out);

}  // namespace hearth::engine
