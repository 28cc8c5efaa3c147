// The reference: plain loops that say what every other instruction set computes.
#include <cmath>
#include <cstring>

#include "engine/kernels/packed.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {
namespace {

struct Float32 {};
struct BFloat16 {};

void tile_f32(const float* rows, int m, int64_t columns, float* tile) {
  for (int i = 0; i < m; ++i) {
    for (int64_t k = 0; k < columns; ++k) tile[k * m + i] = rows[i * columns + k];
    for (int64_t k = columns; k < round_up(columns, kGroup); ++k) tile[k * m + i] = 0;
  }
}

// To the nearest integer that fits; anything for NaN.
int quantise(float value) {
  return value > kQuantMax     ? kQuantMax
         : value >= -kQuantMax ? static_cast<int>(std::nearbyint(value))
                               : -kQuantMax;
}

void tile_q(const float* rows, int m, int64_t columns, std::byte* tile, float* scales,
            int32_t* sums) {
  for (int i = 0; i < m; ++i) {
    const float* row = rows + i * columns;
    for (int64_t k = 0; k < round_up(columns, kGroup); k += kGroup) {
      const int64_t end = k + kGroup < columns ? k + kGroup : columns;
      float max = 0;
      for (int64_t j = k; j < end; ++j) max = std::fabs(row[j]) > max ? std::fabs(row[j]) : max;
      // Below this the reciprocal could overflow, and nothing is lost by zero.
      const float inverse = max > 1e-30f ? kQuantMax / max : 0;
      scales[k / kGroup * m + i] = max > 1e-30f ? max / kQuantMax : 0;
      for (int64_t half = k; half < k + kGroup; half += kHalfGroup) {
        int32_t sum = 0;
        for (int64_t j = half; j < half + kHalfGroup; ++j) {
          const int q = j < end ? quantise(row[j] * inverse) : 0;
          const auto stored = static_cast<int16_t>(q);
          std::memcpy(tile + (j / 4 * m + i) * kQuadBytes + j % 4 * 2, &stored, sizeof stored);
          sum += q;
        }
        sums[half / kHalfGroup * m + i] = sum;
      }
    }
  }
}

void rms_norm(const float* x, const float* weight, int64_t n, float epsilon, float* out) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
  const float factor = 1 / std::sqrt(sum / static_cast<float>(n) + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

void rotate(float& a, float& b, float cosine, float sine) {
  const float rotated = a * cosine - b * sine;
  b = a * sine + b * cosine;
  a = rotated;
}

void rope_half(float* x, const float* cosines, const float* sines, int n) {
  for (int i = 0; i < n / 2; ++i) rotate(x[i], x[i + n / 2], cosines[i], sines[i]);
}

void rope_interleaved(float* x, const float* cosines, const float* sines, int n) {
  for (int i = 0; i < n / 2; ++i) rotate(x[2 * i], x[2 * i + 1], cosines[i], sines[i]);
}

void silu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

void gelu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float u = 0.7978845608f * (g + 0.044715f * g * g * g);
    gate[i] = 0.5f * g * (1 + std::tanh(u)) * up[i];
  }
}

void swiglu_oss(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = std::fmin(gate[i], kSwigluLimit);
    const float u = std::fmax(std::fmin(up[i], kSwigluLimit), -kSwigluLimit);
    gate[i] = g / (1 + std::exp(-1.702f * g)) * (u + 1);
  }
}

void add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void delta_rule(const DeltaRuleArgs& args) {
  for (int j = 0; j < args.value_dim; ++j) {
    float* state = args.state + j;
    float known = 0;  // what the state holds for the key
    for (int i = 0; i < args.key_dim; ++i) known += state[i * args.value_dim] * args.key[i];
    const float change = args.beta * (args.value[j] - args.decay * known);
    float out = 0;
    for (int i = 0; i < args.key_dim; ++i) {
      float& s = state[i * args.value_dim];
      s = args.decay * s + args.key[i] * change;
      out += s * args.query[i];
    }
    args.out[j] = out;
  }
}

template <class Number, class Sum>
double peak(int64_t repeats) {
  constexpr int kNumbers = 64;
  Number weights[kNumbers] = {};
  Number x[kNumbers] = {};
  Sum sum = 0;
  for (int64_t turn = 0; turn < repeats; ++turn) {
    asm volatile("" : : "r"(weights), "r"(x) : "memory");  // taken for changed
    for (int i = 0; i < kNumbers; ++i) sum += static_cast<Sum>(weights[i]) * x[i];
  }
  asm volatile("" : : "r"(&sum) : "memory");  // taken for wanted
  return static_cast<double>(repeats) * kNumbers;
}

}  // namespace

const Kernels kScalarKernels = {
    .matmul = kScalarFloatKernels.of,
    .matmul_q = kScalarQuantKernels.of,
    .matmul_transposed = kScalarTransposedKernels.of,
    .tile_f32 = tile_f32,
    .tile_q = tile_q,
    .rms_norm = rms_norm,
    .rope_half = rope_half,
    .rope_interleaved = rope_interleaved,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .swiglu_oss = swiglu_oss,
    .add = add,
    .delta_rule = delta_rule,
    .attention = &kScalarAttentionKernels,
    .peak_float = peak<float, float>,
    .peak_quantised = peak<int16_t, int32_t>,
};

}  // namespace hearth::engine::kernels
