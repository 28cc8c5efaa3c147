// Products with float activations, compiled for one instruction set.
#include "engine/kernels/avx512/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_float.h"

namespace hearth::engine::kernels {

constinit const MatmulKernels kAvx512FloatKernels = avx512::float_kernels(avx512::AllEncodings());

}  // namespace hearth::engine::kernels
