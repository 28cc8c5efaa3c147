// Products with float activations, compiled for one instruction set.
#include "engine/kernels/avx2/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_float.h"

namespace hearth::engine::kernels {

constinit const MatmulKernels kAvx2FloatKernels = avx2::float_kernels(avx2::AllEncodings());

}  // namespace hearth::engine::kernels
