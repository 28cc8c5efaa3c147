// The generic kernels, compiled for one instruction set (flags: kernels.cmake).
#include "engine/kernels/avx2/simd.h"

// Each builds on those before it.
#include "engine/kernels/generic/rows.h"

#include "engine/kernels/generic/delta_rule.h"
#include "engine/kernels/generic/peak.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {

using namespace avx2;

const Kernels kAvx2Kernels = {
    .matmul = kAvx2FloatKernels.of,
    .matmul_q = kAvx2QuantKernels.of,
    .matmul_transposed = kAvx2TransposedKernels.of,
    .tile_f32 = tile_f32,
    .tile_q = tile_q,
    .rms_norm = rms_norm,
    .rope_half = rope_half,
    .rope_interleaved = rope_interleaved,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .swiglu_oss = swiglu_oss,
    .add = add_rows,
    .delta_rule = delta_rule,
    .attention = &kAvx2AttentionKernels,
    .peak_float = peak_float,
    .peak_quantised = peak_quantised,
};

}  // namespace hearth::engine::kernels
