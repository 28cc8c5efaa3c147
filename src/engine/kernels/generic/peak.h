// The most multiply-adds that the inner products could do: their instructions, on operands in the
// first-level cache, with nothing around them. Over simd.h, which is included first.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Several weight vectors meet several activations, in enough sums to hide the latency of each and
// few enough for the registers; some steps a turn, for the compiler's moves between turns not to
// count.
struct PeakShape {
  int weights;
  int activations;
};
constexpr PeakShape kFloatPeak = (kFloatRows >= 8) ? PeakShape{4, 4} : PeakShape{1, 5};
constexpr PeakShape kQuantisedPeak = (kFloatRows >= 8) ? PeakShape{4, 4} : PeakShape{1, 4};
constexpr int kPeakSteps = 8;

// Makes the compiler take the array for changed, and what is in it for wanted.
HEARTH_SIMD void touch(void* array) { asm volatile("" : : "r"(array) : "memory"); }

double peak_float(int64_t repeats) {
  constexpr int kWeights = kFloatPeak.weights;
  constexpr int kRows = kFloatPeak.activations;
  float weights[kPeakSteps * kWeights * 16] = {};
  float x[kPeakSteps * kRows] = {};
  F32x16 sums[kWeights][kRows];
  for (int j = 0; j < kWeights; ++j) {
    for (int i = 0; i < kRows; ++i) sums[j][i] = zero();
  }
  for (int64_t turn = 0; turn < repeats; ++turn) {
    touch(weights);
    touch(x);
    HEARTH_UNROLL
    for (int step = 0; step < kPeakSteps; ++step) {
      F32x16 w[kWeights];
      for (int j = 0; j < kWeights; ++j) w[j] = load(weights + (step * kWeights + j) * 16);
      for (int i = 0; i < kRows; ++i) {
        const F32x16 a = set1(x[step * kRows + i]);
        for (int j = 0; j < kWeights; ++j) sums[j][i] = fma(w[j], a, sums[j][i]);
      }
    }
  }
  F32x16 total = zero();
  for (int j = 0; j < kWeights; ++j) {
    for (int i = 0; i < kRows; ++i) total = add(total, sums[j][i]);
  }
  store(weights, total);
  touch(weights);
  return static_cast<double>(repeats) * kPeakSteps * kWeights * kRows * 16;
}

// Four columns of a sum take kDotSweeps sweeps.
double peak_quantised(int64_t repeats) {
  constexpr int kWeights = kQuantisedPeak.weights;
  constexpr int kRows = kQuantisedPeak.activations;
  std::byte weights[kPeakSteps * kWeights * sizeof(DotWeights)] = {};
  std::byte x[kPeakSteps * kRows * kQuadBytes] = {};
  I32x16 sums[kWeights][kRows];
  for (int j = 0; j < kWeights; ++j) {
    for (int i = 0; i < kRows; ++i) sums[j][i] = zero_int();
  }
  for (int64_t turn = 0; turn < repeats; ++turn) {
    touch(weights);
    touch(x);
    HEARTH_UNROLL
    for (int step = 0; step < kPeakSteps; ++step) {
      DotWeights w[kWeights];
      for (int j = 0; j < kWeights; ++j) {
        w[j] = load_weights(weights + (step * kWeights + j) * sizeof(DotWeights));
      }
      for (int i = 0; i < kRows; ++i) {
        const auto a = dot_activations<0>(x + (step * kRows + i) * kQuadBytes);
        for (int j = 0; j < kWeights; ++j) sums[j][i] = dot_sweep(sums[j][i], w[j], a);
      }
    }
  }
  I32x16 total = zero_int();
  for (int j = 0; j < kWeights; ++j) {
    for (int i = 0; i < kRows; ++i) total = add(total, sums[j][i]);
  }
  float out[16];
  store(out, to_float(total));
  touch(out);
  return static_cast<double>(repeats) * kPeakSteps * kWeights * kRows * 16 * 4 / kDotSweeps;
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
