// The generic kernels, compiled for one instruction set (flags: kernels.cmake).
#include "engine/kernels/avx2/simd.h"

// Builds on it.
#include "engine/kernels/generic/table.h"

namespace hearth::engine::kernels {

constinit const Kernels kAvx2Kernels = avx2::kernels_with(
    kAvx2FloatKernels, kAvx2QuantKernels, kAvx2TransposedKernels, kAvx2AttentionKernels);

}  // namespace hearth::engine::kernels
