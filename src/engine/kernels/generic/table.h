// An instruction set's entry in the registry, over simd.h, which is included first.
#pragma once

// Each builds on those before it.
#include "engine/kernels/generic/rows.h"

#include "engine/kernels/generic/delta_rule.h"
#include "engine/kernels/generic/peak.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// The generic kernels, with those that are compiled in files of their own.
constexpr Kernels kernels_with(const MatmulKernels& floats, const MatmulKernels& quantised,
                               const TransposedKernels& transposed,
                               const AttentionKernels& attention) {
  return {
      .matmul = floats.of,
      .matmul_q = quantised.of,
      .matmul_transposed = transposed.of,
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
      .attention = &attention,
      .peak_float = peak_float,
      .peak_quantised = peak_quantised,
  };
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
