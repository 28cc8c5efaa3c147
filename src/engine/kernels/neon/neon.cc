// The generic kernels, compiled for one instruction set (flags: kernels.cmake).
#include "engine/kernels/neon/simd.h"

// Builds on it.
#include "engine/kernels/generic/table.h"

namespace hearth::engine::kernels {

constinit const Kernels kNeonKernels = neon::kernels_with(
    kNeonFloatKernels, kNeonQuantKernels, kNeonTransposedKernels, kNeonAttentionKernels);

}  // namespace hearth::engine::kernels
