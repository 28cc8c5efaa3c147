// Products with quantised activations, compiled for one instruction set.
#include "engine/kernels/neon/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_quant.h"

namespace hearth::engine::kernels {

constinit const MatmulKernels kNeonQuantKernels = neon::quant_kernels(neon::AllEncodings());

}  // namespace hearth::engine::kernels
