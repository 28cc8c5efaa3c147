// Tiles of activations and the functions that act on single rows, over simd.h, which is included
// first.
#pragma once

#include "engine/kernels/generic/math.h"
#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

void tile_f32(const float* rows, int m, int64_t columns, float* tile) {
  const int64_t padded = round_up(columns, kGroup);
  if (m == 1) {
    for (int64_t k = 0; k < columns; k += 16) store_at(tile, k, columns, load_at(rows, k, columns));
  } else {
    for (int64_t k = 0; k < columns; ++k) {
      for (int i = 0; i < m; ++i) tile[k * m + i] = rows[i * columns + k];
    }
  }
  for (int64_t k = columns * m; k < padded * m; ++k) tile[k] = 0;
}

// One group of one row of a tile.
HEARTH_SIMD void quantise_group(const float* x, int64_t n, int m, std::byte* out, float* scale,
                                int32_t* sums) {
  const F32x16 a = load_at(x, 0, n);
  const F32x16 b = n > 16 ? load_at(x, 16, n) : zero();
  const float largest = reduce_max(max(abs(a), abs(b)));
  // Below this the reciprocal could overflow, and nothing is lost by zero.
  const bool any = largest > 1e-30f;
  const F32x16 inverse = set1(any ? kQuantMax / largest : 0);
  const I32x16 qa = to_int(mul(a, inverse));
  const I32x16 qb = to_int(mul(b, inverse));
  const int64_t stride = int64_t{m} * kQuadBytes;
  store_quads(out, stride, qa);
  store_quads(out + 4 * stride, stride, qb);
  *scale = any ? largest / kQuantMax : 0;
  sums[0] = reduce_add(qa);
  sums[m] = reduce_add(qb);
}

void tile_q(const float* rows, int m, int64_t columns, std::byte* tile, float* scales,
            int32_t* sums) {
  for (int i = 0; i < m; ++i) {
    for (int64_t k = 0; k < columns; k += kGroup) {
      const int64_t group = k / kGroup * m;
      quantise_group(rows + i * columns + k, columns - k < kGroup ? columns - k : kGroup, m,
                     tile + (k / 4 * m + i) * kQuadBytes, scales + group + i, sums + 2 * group + i);
    }
  }
}

void rms_norm(const float* x, const float* weight, int64_t n, float epsilon, float* out) {
  F32x16 squares = zero();
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 part = load_at(x, i, n);
    squares = fma(part, part, squares);
  }
  const float mean = reduce_add(squares) / static_cast<float>(n);
  const F32x16 factor = set1(1 / square_root(mean + epsilon));
  for (int64_t i = 0; i < n; i += 16) {
    store_at(out, i, n, mul(mul(load_at(x, i, n), factor), load_at(weight, i, n)));
  }
}

void rope_half(float* x, const float* cosines, const float* sines, int n) {
  const int half = n / 2;
  for (int i = 0; i < half; i += 16) {
    const F32x16 a = load_at(x, i, half);
    const F32x16 b = load_at(x + half, i, half);
    const F32x16 cosine = load_at(cosines, i, half);
    const F32x16 sine = load_at(sines, i, half);
    store_at(x, i, half, sub(mul(a, cosine), mul(b, sine)));
    store_at(x + half, i, half, add(mul(a, sine), mul(b, cosine)));
  }
}

// A few dozen pairs a head: not worth shuffles.
void rope_interleaved(float* x, const float* cosines, const float* sines, int n) {
  for (int i = 0; i < n / 2; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = a * sines[i] + b * cosines[i];
  }
}

// x / (1 + e^-t)
HEARTH_SIMD F32x16 gate_by(F32x16 x, F32x16 t) { return div(x, add(set1(1), exp(sub(zero(), t)))); }

void silu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 g = load_at(gate, i, n);
    store_at(gate, i, n, mul(gate_by(g, g), load_at(up, i, n)));
  }
}

void gelu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 g = load_at(gate, i, n);
    const F32x16 cubic = fma(mul(g, g), mul(g, set1(0.044715f)), g);
    const F32x16 gelu = gate_by(g, mul(cubic, set1(1.5957691216f)));  // 2 sqrt(2 / pi)
    store_at(gate, i, n, mul(gelu, load_at(up, i, n)));
  }
}

void swiglu_oss(float* gate, const float* up, int64_t n) {
  const F32x16 limit = set1(kSwigluLimit);
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 g = min(load_at(gate, i, n), limit);
    const F32x16 u = max(min(load_at(up, i, n), limit), sub(zero(), limit));
    store_at(gate, i, n, mul(gate_by(g, mul(g, set1(1.702f))), add(u, set1(1))));
  }
}

void add_rows(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) store_at(x, i, n, add(load_at(x, i, n), load_at(y, i, n)));
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
