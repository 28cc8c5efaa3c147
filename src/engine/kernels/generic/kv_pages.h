// Numbers of the cache's pages (kv_layout.h): how vectors of them are loaded and multiplied, and
// how a token's key and value are written. Over simd.h, included first.
#pragma once

#include "engine/kernels/generic/math.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/numbers.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Products of pairs of 16-bit integers, exact in 32 bits.
struct IntPairs {
  using Number = int16_t;    // of queries and weights
  using Vector = I32x16;     // pairs of 16 tokens or dimensions
  using Broadcast = I32x16;  // one pair of a query or of weights
  using Sum = I32x16;
  static constexpr int kRows = kPairRows;

  HEARTH_SIMD Sum start() { return zero_int(); }
  HEARTH_SIMD Broadcast broadcast(const Number* pair) { return set1_pair(pair); }
  HEARTH_SIMD Sum step(Sum sum, const Vector& x, Broadcast y) { return dot_pairs(sum, x, y); }
  HEARTH_SIMD Sum half_step(Sum sum, const Vector& x, Broadcast y) { return dot_pairs(sum, x, y); }
  HEARTH_SIMD F32x16 finish(Sum sum) { return to_float(sum); }
};

// Products of pairs of floats, the first of each in one sum and the second in another.
struct FloatPairs {
  using Number = float;
  struct Vector {
    F32x16 first, second;
  };
  using Broadcast = Vector;
  using Sum = Vector;
  static constexpr int kRows = kPairRows / 2;

  HEARTH_SIMD Sum start() { return {zero(), zero()}; }
  HEARTH_SIMD Broadcast broadcast(const Number* pair) { return {set1(pair[0]), set1(pair[1])}; }
  HEARTH_SIMD Sum step(Sum sum, const Vector& x, Broadcast y) {
    return {fma(x.first, y.first, sum.first), fma(x.second, y.second, sum.second)};
  }
  // With pairs whose second number is not there and may be NaN.
  HEARTH_SIMD Sum half_step(Sum sum, const Vector& x, Broadcast y) {
    return {fma(x.first, y.first, sum.first), sum.second};
  }
  HEARTH_SIMD F32x16 finish(Sum sum) { return add(sum.first, sum.second); }
};

// Numbers of each type. load(): 16 pairs; the next step's are step_bytes further.
struct PageF32 : FloatPairs {
  using Stored = float;
  static constexpr KvFormat kFormat = kKvFormats[0];
  HEARTH_SIMD Vector load(const std::byte* at, int64_t step_bytes) {
    return {HEARTH_ISA_NAMESPACE::load(reinterpret_cast<const float*>(at)),
            HEARTH_ISA_NAMESPACE::load(reinterpret_cast<const float*>(at + step_bytes / 2))};
  }
};
struct PageQ16 : IntPairs {
  using Stored = int16_t;
  static constexpr KvFormat kFormat = kKvFormats[1];
  HEARTH_SIMD Vector load(const std::byte* at, int64_t) { return load_int(at); }
};
struct PageBF16 : FloatPairs {
  using Stored = uint16_t;
  static constexpr KvFormat kFormat = kKvFormats[2];
  HEARTH_SIMD Vector load(const std::byte* at, int64_t) {
    Vector x;
    load_bf16_pairs(at, x.first, x.second);
    return x;
  }
};
struct PageQ8 : IntPairs {
  using Stored = int8_t;
  static constexpr KvFormat kFormat = kKvFormats[3];
  HEARTH_SIMD Vector load(const std::byte* at, int64_t) { return load_i8_pairs(at); }
};

// Bytes between the vectors of 16 lanes of one step, and from one step to the next.
struct Strides {
  int64_t vector;
  int64_t step;
};
template <class Page>
constexpr Strides kKeyStrides = {(Page::kFormat.pairs ? 32 : 16) * Page::kFormat.bytes,
                                 2 * kPageTokens* Page::kFormat.bytes};
template <class Page>
constexpr Strides kValueStrides = {16 * kPageTokens* Page::kFormat.bytes,
                                   2 * 16 * Page::kFormat.bytes};

// out[i] = round(x[i] / scale) with the smallest scale for which no integer is beyond `largest` and
// the vector of all no longer than `longest`. Returns the scale. out has room up to a multiple of
// 16.
HEARTH_SIMD float quantise(const float* x, int64_t n, int largest, float longest, int16_t* out) {
  F32x16 extreme = zero();
  F32x16 squares = zero();
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 part = load_at(x, i, n);
    extreme = max(extreme, abs(part));
    squares = fma(part, part, squares);
  }
  const float by_extreme = reduce_max(extreme) / static_cast<float>(largest);
  const float by_norm = square_root(reduce_add(squares)) / longest;
  const float scale = by_norm > by_extreme ? by_norm : by_extreme;
  // Below this the reciprocal could overflow, and nothing is lost by zero.
  const bool any = scale > 1e-34f;
  const F32x16 inverse = set1(any ? 1 / scale : 0);
  for (int64_t i = 0; i < n; i += 16) store_int16(out + i, to_int(mul(load_at(x, i, n), inverse)));
  return any ? scale : 0;
}

// Numbers of a vector in the page's type. Returns their scale.
template <class Page>
HEARTH_SIMD float narrow(const float* x, int64_t n, float longest, typename Page::Stored* out) {
  using T = typename Page::Stored;
  if constexpr (Page::kFormat.largest != 0) {
    int16_t numbers[kHeadDimMax];
    const float scale = quantise(x, n, Page::kFormat.largest, longest, numbers);
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(numbers[i]);
    return scale;
  } else {
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (sizeof(T) == 2) {
        out[i] = to_bf16(x[i]);
      } else {
        out[i] = x[i];
      }
    }
    return 1;
  }
}

template <class Page>
void store(const KvStoreArgs& args) {
  using T = typename Page::Stored;
  constexpr KvFormat kFormat = Page::kFormat;
  const KvHead& head = args.head;
  T numbers[kHeadDimMax];
  auto* page = reinterpret_cast<T*>(args.page);
  auto* scales = reinterpret_cast<float*>(args.page + kv_scales_at(kFormat, head)) + args.token;
  const float key_scale = narrow<Page>(args.key, head.key_dim, kKvNormMax, numbers);
  for (int d = 0; d < head.key_dim; ++d) page[kv_key_at(kFormat, args.token, d)] = numbers[d];
  if constexpr (kFormat.largest != 0) scales[0] = key_scale;
  if (head.shared) return;
  const float value_scale = narrow<Page>(args.value, head.value_dim, __builtin_inff(), numbers);
  for (int d = 0; d < head.value_dim; ++d) {
    page[kv_value_at(kFormat, head, args.token, d)] = numbers[d];
  }
  if constexpr (kFormat.largest != 0) scales[kPageTokens] = value_scale;
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
