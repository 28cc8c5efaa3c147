// Products with transposed matrices, compiled for one instruction set.
#include "engine/kernels/avx512/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_transposed.h"

namespace hearth::engine::kernels {

constinit const TransposedKernels kAvx512TransposedKernels =
    avx512::transposed_kernels(avx512::AllEncodings());

}  // namespace hearth::engine::kernels
