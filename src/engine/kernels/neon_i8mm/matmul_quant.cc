// Products with quantised activations, compiled for one instruction set.
#include "engine/kernels/neon_i8mm/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_quant.h"

namespace hearth::engine::kernels {

constinit const MatmulKernels kNeonI8mmQuantKernels =
    neon_i8mm::quant_kernels(neon_i8mm::AllEncodings());

}  // namespace hearth::engine::kernels
