// The generic kernels, compiled for one instruction set (flags: kernels.cmake).
#include "engine/kernels/neon_i8mm/simd.h"

// Builds on it.
#include "engine/kernels/generic/table.h"

namespace hearth::engine::kernels {

// What multiplies no quantised activations has no use for products of bytes.
constinit const Kernels kNeonI8mmKernels = neon_i8mm::kernels_with(
    kNeonFloatKernels, kNeonI8mmQuantKernels, kNeonTransposedKernels, kNeonAttentionKernels);

}  // namespace hearth::engine::kernels
