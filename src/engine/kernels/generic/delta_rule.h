// The gated delta rule, over simd.h and generic/rows.h, included first. Lanes are dimensions of the
// value; each is summed over the key's dimensions in order.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// The columns [first, first + 16 * kVectors) of the state, or fewer at its end.
template <int kVectors>
HEARTH_SIMD void delta_columns(const DeltaRuleArgs& args, int64_t first) {
  const int64_t width = args.value_dim;
  const F32x16 decay = set1(args.decay);
  F32x16 known[kVectors];  // what the state holds for the key
  for (int v = 0; v < kVectors; ++v) known[v] = zero();
  for (int i = 0; i < args.key_dim; ++i) {
    const float* row = args.state + i * width;
    const F32x16 key = set1(args.key[i]);
    for (int v = 0; v < kVectors; ++v) {
      known[v] = fma(load_at(row, first + 16 * v, width), key, known[v]);
    }
  }
  F32x16 change[kVectors];
  F32x16 out[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const F32x16 value = load_at(args.value, first + 16 * v, width);
    change[v] = mul(set1(args.beta), sub(value, mul(decay, known[v])));
    out[v] = zero();
  }
  for (int i = 0; i < args.key_dim; ++i) {
    float* row = args.state + i * width;
    const F32x16 key = set1(args.key[i]);
    const F32x16 query = set1(args.query[i]);
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = first + 16 * v;
      const F32x16 state = fma(key, change[v], mul(decay, load_at(row, at, width)));
      store_at(row, at, width, state);
      out[v] = fma(state, query, out[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) store_at(args.out, first + 16 * v, width, out[v]);
}

void delta_rule(const DeltaRuleArgs& args) {
  constexpr int kWide = 4;  // vectors that hide each other's latency
  int64_t first = 0;
  for (; first + 16 * kWide <= args.value_dim; first += 16 * kWide) {
    delta_columns<kWide>(args, first);
  }
  for (; first < args.value_dim; first += 16) delta_columns<1>(args, first);
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
