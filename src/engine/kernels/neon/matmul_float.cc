// Products with float activations, compiled for one instruction set.
#include "engine/kernels/neon/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_float.h"

namespace hearth::engine::kernels {

constinit const MatmulKernels kNeonFloatKernels = neon::float_kernels(neon::AllEncodings());

}  // namespace hearth::engine::kernels
