// Products with transposed matrices, compiled for one instruction set.
#include "engine/kernels/neon/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_transposed.h"

namespace hearth::engine::kernels {

constinit const TransposedKernels kNeonTransposedKernels =
    neon::transposed_kernels(neon::AllEncodings());

}  // namespace hearth::engine::kernels
