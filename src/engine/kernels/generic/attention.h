// Attention over a paged cache with an online softmax (Milakov, Gimelshein: "Online normalizer
// calculation for softmax", https://arxiv.org/abs/1805.02867): page by page, 32 scores a query,
// then the output is rescaled to the new maximum and the page's values are added. Lanes are tokens
// for the scores and dimensions for the values. Over simd.h and generic/rows.h, included first.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// How numbers come out of each kind of page; `scales` points to those of 16 tokens.
struct PageF32 {
  static constexpr int kBytes = 4;
  HEARTH_SIMD F32x16 load(const std::byte* at) {
    return HEARTH_ISA_NAMESPACE::load(reinterpret_cast<const float*>(at));
  }
  HEARTH_SIMD F32x16 scaled(F32x16 x, const std::byte*) { return x; }
};
struct PageQ16 {
  static constexpr int kBytes = 2;
  HEARTH_SIMD F32x16 load(const std::byte* at) { return load_int16(at); }
  HEARTH_SIMD F32x16 scaled(F32x16 x, const std::byte* scales) {
    return mul(x, HEARTH_ISA_NAMESPACE::load(reinterpret_cast<const float*>(scales)));
  }
};

// What a group of kRows queries carries from page to page.
template <int kRows>
struct AttentionState {
  float queries[kHeadDimMax * kRows];  // [D][kRows], scaled
  float sums[kHeadDimMax * kRows];     // [D/16][kRows][16], of values
  float weights[kPageTokens * kRows];  // [32][kRows], exp(score - max), times the values' scales
  float max[kRows];
  float total[kRows];  // of weights
  float keep[kRows];   // what rescales the sums
};

// Scores of 16 tokens for kRows queries.
template <class Page, int kRows>
HEARTH_SIMD void scores_of_half(const std::byte* half, int key_dim, const float* queries,
                                F32x16 (&scores)[kRows]) {
  F32x16 odd_scores[kRows];
  for (int i = 0; i < kRows; ++i) scores[i] = odd_scores[i] = zero();
  for (int pair = 0; pair < key_dim / 2; ++pair) {
    const std::byte* keys = half + pair * 32 * Page::kBytes;
    const F32x16 even = Page::load(keys);
    const F32x16 odd = Page::load(keys + 16 * Page::kBytes);
    const float* q = queries + pair * 2 * kRows;
    for (int i = 0; i < kRows; ++i) scores[i] = fma(even, set1(q[i]), scores[i]);
    for (int i = 0; i < kRows; ++i) odd_scores[i] = fma(odd, set1(q[kRows + i]), odd_scores[i]);
  }
  for (int i = 0; i < kRows; ++i) scores[i] = add(scores[i], odd_scores[i]);
}

// What a query sees of a page: the tokens [begin, end) of it.
struct Visible {
  int begin = 0;
  int end = 0;
};

// x in the lanes that are tokens [half, half + 16) of `visible`, else y.
HEARTH_SIMD F32x16 merge_visible(F32x16 x, F32x16 y, Visible visible, int half) {
  const int begin = visible.begin < half        ? 0
                    : visible.begin - half < 16 ? visible.begin - half
                                                : 16;
  const int end = visible.end < half ? 0 : visible.end - half < 16 ? visible.end - half : 16;
  return merge_first(y, merge_first(x, y, end), begin);
}

// Turns a page's scores into weights. A query that sees none of the page keeps its state bit for
// bit.
template <class Page, int kRows>
HEARTH_SIMD void weigh_page(const std::byte* page, int key_dim, int width,
                            const Visible (&visible)[kRows], AttentionState<kRows>& state) {
  const std::byte* scales = page + int64_t{kPageTokens} * (key_dim + width) * Page::kBytes;
  const F32x16 hidden = set1(-__builtin_inff());
  F32x16 low[kRows];
  F32x16 high[kRows];
  scores_of_half<Page, kRows>(page, key_dim, state.queries, low);
  scores_of_half<Page, kRows>(page + key_dim * 16 * Page::kBytes, key_dim, state.queries, high);
  for (int i = 0; i < kRows; ++i) {
    float weights[kPageTokens] = {};
    state.keep[i] = 1;
    if (visible[i].begin < visible[i].end) {
      const F32x16 a = merge_visible(Page::scaled(low[i], scales), hidden, visible[i], 0);
      const F32x16 b = merge_visible(Page::scaled(high[i], scales + 64), hidden, visible[i], 16);
      const float page_max = reduce_max(max(a, b));
      const float new_max = page_max > state.max[i] ? page_max : state.max[i];
      const F32x16 wa = merge_visible(exp(sub(a, set1(new_max))), zero(), visible[i], 0);
      const F32x16 wb = merge_visible(exp(sub(b, set1(new_max))), zero(), visible[i], 16);
      float keep[16];
      store(keep, exp(set1(state.max[i] - new_max)));
      state.keep[i] = keep[0];
      state.total[i] = state.total[i] * keep[0] + reduce_add(add(wa, wb));
      state.max[i] = new_max;
      store(weights, merge_visible(Page::scaled(wa, scales + 128), zero(), visible[i], 0));
      store(weights + 16, merge_visible(Page::scaled(wb, scales + 192), zero(), visible[i], 16));
    }
    for (int t = 0; t < kPageTokens; ++t) state.weights[t * kRows + i] = weights[t];
  }
}

// Adds the values of the page's first `tokens` tokens, weighted.
template <class Page, int kRows>
HEARTH_SIMD void add_values(const std::byte* values, int width, int tokens,
                            AttentionState<kRows>& state) {
  for (int d = 0; d < width / 16; ++d) {
    float* sums = state.sums + d * kRows * 16;
    F32x16 even_sums[kRows];
    F32x16 odd_sums[kRows];
    for (int i = 0; i < kRows; ++i) {
      even_sums[i] = mul(load(sums + i * 16), set1(state.keep[i]));
      odd_sums[i] = zero();
    }
    const std::byte* column = values + d * 16 * Page::kBytes;
    const float* w = state.weights;
    for (int pair = 0; pair < tokens / 2; ++pair, w += 2 * kRows) {
      const F32x16 even = Page::load(column);
      const F32x16 odd = Page::load(column + width * Page::kBytes);
      column += 2 * width * Page::kBytes;
      for (int i = 0; i < kRows; ++i) even_sums[i] = fma(even, set1(w[i]), even_sums[i]);
      for (int i = 0; i < kRows; ++i) odd_sums[i] = fma(odd, set1(w[kRows + i]), odd_sums[i]);
    }
    if (tokens % 2 != 0) {
      const F32x16 even = Page::load(column);
      for (int i = 0; i < kRows; ++i) even_sums[i] = fma(even, set1(w[i]), even_sums[i]);
    }
    for (int i = 0; i < kRows; ++i) store(sums + i * 16, add(even_sums[i], odd_sums[i]));
  }
}

template <class Page, int kRows>
HEARTH_SIMD void start(const AttentionArgs& args, int first, int width,
                       AttentionState<kRows>& state) {
  for (int i = 0; i < kRows; ++i) {
    const float* query = args.queries[first + i];
    for (int d = 0; d < args.key_dim; ++d) state.queries[d * kRows + i] = query[d] * args.scale;
    for (int d = 0; d < width; d += 16) store(state.sums + d * kRows + i * 16, zero());
    state.max[i] = args.sinks == nullptr ? -__builtin_inff() : args.sinks[first + i];
    state.total[i] = args.sinks == nullptr ? 0 : 1;
  }
}

// Where a position lies in the page of 32 tokens that starts at `begin`.
HEARTH_SIMD int in_page(int position, int begin) {
  const int offset = position - begin;
  return offset < 0 ? 0 : offset < kPageTokens ? offset : kPageTokens;
}

template <class Page, int kRows>
void attend(const AttentionArgs& args, int first) {
  const int width = static_cast<int>(round_up(args.value_dim, 16));
  AttentionState<kRows> state;
  start<Page, kRows>(args, first, width, state);
  int earliest = args.starts[first];
  int longest = 0;
  for (int i = first; i < first + kRows; ++i) {
    earliest = args.starts[i] < earliest ? args.starts[i] : earliest;
    longest = args.lengths[i] > longest ? args.lengths[i] : longest;
  }
  for (int begin = earliest / kPageTokens * kPageTokens; begin < longest; begin += kPageTokens) {
    const std::byte* page = args.pool + args.table[begin / kPageTokens] * args.page_bytes;
    Visible visible[kRows];
    for (int i = 0; i < kRows; ++i) {
      visible[i] = {in_page(args.starts[first + i], begin),
                    in_page(args.lengths[first + i], begin)};
    }
    const int tokens = longest - begin < kPageTokens ? longest - begin : kPageTokens;
    weigh_page<Page, kRows>(page, args.key_dim, width, visible, state);
    add_values<Page, kRows>(page + int64_t{kPageTokens} * args.key_dim * Page::kBytes, width,
                            tokens, state);
  }
  for (int i = 0; i < kRows; ++i) {
    const F32x16 total = set1(state.total[i]);
    float* out = args.outputs[first + i];
    for (int d = 0; d < args.value_dim; d += 16) {
      store_at(out, d, args.value_dim, div(load(state.sums + d * kRows + i * 16), total));
    }
  }
}

template <class Page>
void attention(const AttentionArgs& args) {
  static void (*const kAttend[])(const AttentionArgs&, int) = {
    attend<Page, 1>,
    attend<Page, 2>,
    attend<Page, 3>,
#if HEARTH_TALL_TILES
    attend<Page, 4>,
    attend<Page, 5>,
    attend<Page, 6>,
    attend<Page, 7>,
    attend<Page, 8>,
#endif
  };
  for (int first = 0; first < args.count; first += kQueryRows) {
    const int n = args.count - first < kQueryRows ? args.count - first : kQueryRows;
    kAttend[n - 1](args, first);
  }
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
