// The generic kernels, compiled for one instruction set (flags: kernels.cmake).
#include "engine/kernels/avx512/simd.h"

// Builds on it.
#include "engine/kernels/generic/table.h"

namespace hearth::engine::kernels {

constinit const Kernels kAvx512Kernels = avx512::kernels_with(
    kAvx512FloatKernels, kAvx512QuantKernels, kAvx512TransposedKernels, kAvx512AttentionKernels);

}  // namespace hearth::engine::kernels
