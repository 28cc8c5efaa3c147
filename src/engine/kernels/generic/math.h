// Parts of vectors and elementary functions, over simd.h, which is included first.
#pragma once

#include <cstdint>

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Lanes of a vector that starts at `i` of `n` elements.
HEARTH_SIMD F32x16 load_at(const float* x, int64_t i, int64_t n) {
  return n - i >= 16 ? load(x + i) : load_first(x + i, n - i);
}
HEARTH_SIMD void store_at(float* x, int64_t i, int64_t n, F32x16 value) {
  if (n - i >= 16) {
    store(x + i, value);
  } else {
    store_first(x + i, value, n - i);
  }
}

// e^x to 1 unit in the last place or two: x = n ln 2 + r, then a polynomial in r. Exactly 1 at 0;
// clamped where the result would leave the normal numbers.
HEARTH_SIMD F32x16 exp(F32x16 x) {
  x = min(max(x, set1(-87.3f)), set1(88.0f));
  const F32x16 n = round(mul(x, set1(1.44269504f)));
  F32x16 r = fma(n, set1(-0.693359375f), x);  // ln 2 in two parts, the first with few bits
  r = fma(n, set1(2.12194440e-4f), r);
  F32x16 p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = add(fma(p, mul(r, r), r), set1(1));
  return scale2(p, n);
}

// 2^x for x <= 0 to 2 units in the last place: x = n + r, then a polynomial in r (minimax, of the
// relative error). Exactly 1 at 0; clamped where the result would leave the normal numbers.
HEARTH_SIMD F32x16 exp2_below_one(F32x16 x) {
  x = max(x, set1(-126));
  const F32x16 n = round(x);
  const F32x16 r = sub(x, n);
  F32x16 p = set1(1.32647273e-3f);
  p = fma(p, r, set1(9.67151299e-3f));
  p = fma(p, r, set1(5.55073358e-2f));
  p = fma(p, r, set1(2.40222424e-1f));
  p = fma(p, r, set1(6.93147004e-1f));
  p = fma(p, r, set1(1));
  return scale2(p, n);
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
