// Products with quantised activations, compiled for one instruction set.
#include "engine/kernels/avx2/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/weights.h"

#include "engine/kernels/generic/matmul_quant.h"

namespace hearth::engine::kernels {

constinit const MatmulKernels kAvx2QuantKernels = avx2::quant_kernels(avx2::AllEncodings());

}  // namespace hearth::engine::kernels
