// Attention of a tile of queries over a paged cache (kv_layout.h), over simd.h, included first.
// Tokens are taken in blocks of some pages: the scores of a block for all queries, then a softmax
// with the block's own maximum, then the weighted sum of its values, which is added to what went
// before as online softmaxes do (Milakov, Gimelshein, https://arxiv.org/abs/1805.02867). Spans of
// tokens are summed up apart and added in order, so that different workers may take them (flash
// decoding, https://arxiv.org/abs/2307.08691).
//
// What a query receives depends on its own tokens alone: not on the tile, nor on who did the spans.
#pragma once

#include <utility>

#include "engine/kernels/generic/kv_pages.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

constexpr int kBlockTokens = kAttentionBlock;
constexpr float kLog2E = 1.44269504f;  // scores are made exponents of 2

// kRows rows of number pairs times kVectors vectors of partners, summed over steps. Row i's pair of
// step s is at a[i * a_row + s * a_step]. What lies `ahead` of the partners is fetched from memory.
template <class Page, int kRows, int kVectors>
struct Products {
  using Number = typename Page::Number;
  typename Page::Sum sums[kRows][kVectors];

  HEARTH_INLINE void start() {
    for (auto& row : sums) {
      for (auto& sum : row) sum = Page::start();
    }
  }
  template <bool kHalf>
  HEARTH_INLINE void step(const std::byte* b, const Strides& strides, const Number* a, int a_row) {
    typename Page::Vector x[kVectors];
    for (int v = 0; v < kVectors; ++v) x[v] = Page::load(b + v * strides.vector, strides.step);
    for (int i = 0; i < kRows; ++i) {
      const auto pair = Page::broadcast(a + i * a_row);
      for (int v = 0; v < kVectors; ++v) {
        sums[i][v] =
            kHalf ? Page::half_step(sums[i][v], x[v], pair) : Page::step(sums[i][v], x[v], pair);
      }
    }
  }
  HEARTH_INLINE void add(const std::byte* b, const Strides& strides, int steps, const Number* a,
                         int a_row, int a_step, int64_t ahead) {
    for (int s = 0; s < steps; ++s, b += strides.step, a += a_step) {
      for (int v = 0; v < kVectors; ++v) prefetch(b + v * strides.vector + ahead);
      step<false>(b, strides, a, a_row);
    }
  }
};

// What queries [first, first + rows) of a tile see together.
struct Panel {
  int first = 0;
  int rows = 0;
  int earliest = 0;
  int longest = 0;
};

// The part [begin, end) of 0 .. size - 1.
struct Part {
  int begin = 0;
  int end = 0;
};
// Of the tokens [start, length), those among `size` from `begin` on.
HEARTH_SIMD Part part_within(int start, int length, int begin, int size) {
  const auto clamp = [&](int at) { return at < begin ? 0 : at - begin > size ? size : at - begin; };
  return {clamp(start), clamp(length)};
}

// Lanes `part` of the vector that starts at `lane` from x, the others from y.
HEARTH_SIMD F32x16 merge_part(F32x16 x, F32x16 y, Part part, int lane) {
  if (part.begin <= lane && part.end >= lane + 16) return x;
  const auto clamp = [&](int at) { return at < lane ? 0 : at - lane > 16 ? 16 : at - lane; };
  return merge_first(y, merge_first(x, y, clamp(part.end)), clamp(part.begin));
}

// The score of nothing: less than any other, and the difference of two is a number.
constexpr float kUnseen = -1e30f;

// What a query has gathered from some tokens: weighted values [width], the largest score and the
// sum of weights 2^(score - largest), in every lane.
struct Gathered {
  float* values;
  float* state;  // [2][16]

  HEARTH_INLINE F32x16 largest() const { return load(state); }
  HEARTH_INLINE F32x16 total() const { return load(state + 16); }
  HEARTH_INLINE void set(F32x16 largest, F32x16 total) const {
    store(state, largest);
    store(state + 16, total);
  }
};
HEARTH_SIMD Gathered gathered_at(float* record, int64_t width) { return {record, record + width}; }

// Adds what a later span gave, unless the query sees nothing of it.
HEARTH_SIMD void add_span(const Gathered& all, const Gathered& span, int64_t width) {
  if (span.state[16] == 0) return;
  const F32x16 largest = max(all.largest(), span.largest());
  const F32x16 keep = exp2_below_one(sub(all.largest(), largest));
  const F32x16 factor = exp2_below_one(sub(span.largest(), largest));
  all.set(largest, fma(span.total(), factor, mul(all.total(), keep)));
  for (int64_t d = 0; d < width; d += 16) {
    store(all.values + d, fma(load(span.values + d), factor, mul(load(all.values + d), keep)));
  }
}

HEARTH_SIMD void start_gathering(const Gathered& all, const float* sink, int64_t width) {
  for (int64_t d = 0; d < width; d += 16) store(all.values + d, zero());
  all.set(set1(sink == nullptr ? kUnseen : *sink * kLog2E), set1(sink == nullptr ? 0 : 1));
}

HEARTH_SIMD void finish_gathering(const Gathered& all, int value_dim, float* out) {
  for (int d = 0; d < value_dim; d += 16) {
    store_at(out, d, value_dim, div(load(all.values + d), all.total()));
  }
}

template <class Page>
class Tile {
 public:
  using Number = typename Page::Number;

  explicit Tile(const AttentionArgs& args)
      : args_(args), width_(kv_width(args.head)), record_(kv_record_floats(args.head)) {
    float* at = args.scratch;
    queries_ = reinterpret_cast<Number*>(at);
    at += int64_t{kTileQueries} * args.head.key_dim;
    scores_ = at;
    at += kTileQueries * kScoresRow;
    whole_ = at;
    at += kTileQueries * record_;
    span_ = at;
    at += kTileQueries * record_;
    values_ = reinterpret_cast<std::byte*>(at);
    for (int first = 0; first < args.count; first += Page::kRows) add_panel(first);
  }

  // Everything that the queries see.
  void attend() {
    Part seen = {args_.starts[0], args_.lengths[0]};
    for (const Panel* panel = panels_; panel < panels_ + panel_count_; ++panel) {
      seen.begin = panel->earliest < seen.begin ? panel->earliest : seen.begin;
      seen.end = panel->longest > seen.end ? panel->longest : seen.end;
    }
    for (int i = 0; i < args_.count; ++i) {
      start_gathering(whole(i), args_.sinks == nullptr ? nullptr : args_.sinks + i, width_);
    }
    for (int begin = seen.begin / kSpanTokens * kSpanTokens; begin < seen.end;
         begin += kSpanTokens) {
      attend_span(begin, span_);
      for (int i = 0; i < args_.count; ++i) {
        add_span(whole(i), gathered_at(span_ + i * record_, width_), width_);
      }
    }
    for (int i = 0; i < args_.count; ++i) {
      finish_gathering(whole(i), args_.head.value_dim, args_.outputs[i]);
    }
  }

  // What they see of the span that begins at this token, into records [count].
  void attend_span(int begin, float* records) {
    for (int i = 0; i < args_.count; i += 16) {
      store(largest_ + i, set1(kUnseen));
      store(total_ + i, zero());
    }
    __builtin_memset(records, 0, args_.count * record_ * sizeof(float));
    for (int block = begin; block < begin + kSpanTokens; block += kBlockTokens) {
      attend_block(block, records);
    }
    for (int i = 0; i < args_.count; ++i) {
      gathered_at(records + i * record_, width_).set(set1(largest_[i]), set1(total_[i]));
    }
  }

 private:
  static constexpr bool kScaled = Page::kFormat.largest != 0;
  // Floats from a query's scores to the next one's, not a multiple of the caches' sets; numbers
  // from its weights, which take the scores' place.
  static constexpr int kScoresRow = kBlockTokens + 16;
  static constexpr int kWeightsRow = kScoresRow * int{sizeof(float)} / int{sizeof(Number)};

  Gathered whole(int i) const { return gathered_at(whole_ + i * record_, width_); }
  const std::byte* page_at(int token) const {
    return args_.pool + args_.table[token / kPageTokens] * args_.page_bytes;
  }

  // Queries lie [panel][key_dim / 2][rows][2].
  void add_panel(int first) {
    Panel& panel = panels_[panel_count_++];
    const int rows = args_.count - first < Page::kRows ? args_.count - first : Page::kRows;
    panel = {first, rows, args_.starts[first], args_.lengths[first]};
    Number* to = queries_ + int64_t{first} * args_.head.key_dim;
    for (int i = 0; i < rows; ++i) {
      const int start = args_.starts[first + i];
      const int length = args_.lengths[first + i];
      panel.earliest = start < panel.earliest ? start : panel.earliest;
      panel.longest = length > panel.longest ? length : panel.longest;
      longest_ = length > longest_ ? length : longest_;
      Number numbers[kHeadDimMax];
      query_scales_[first + i] =
          kLog2E * args_.scale * narrow_query(args_.queries[first + i], numbers);
      for (int d = 0; d < args_.head.key_dim; d += 2) {
        __builtin_memcpy(to + d * rows + 2 * i, numbers + d, 2 * sizeof(Number));
      }
    }
  }
  float narrow_query(const float* query, Number* numbers) const {
    if constexpr (kScaled) {
      return quantise(query, args_.head.key_dim, 32767, kKvNormMax, numbers);
    } else {
      for (int d = 0; d < args_.head.key_dim; ++d) numbers[d] = query[d];
      return 1;
    }
  }

  void attend_block(int begin, float* records) {
    Part seen = {kBlockTokens, 0};  // by any query
    for (int p = 0; p < panel_count_; ++p) {
      const Part part = part_within(panels_[p].earliest, panels_[p].longest, begin, kBlockTokens);
      if (part.begin >= part.end) continue;
      seen.begin = part.begin < seen.begin ? part.begin : seen.begin;
      seen.end = part.end > seen.end ? part.end : seen.end;
    }
    if (seen.begin >= seen.end) return;
    for (int page = seen.begin / kPageTokens; page * kPageTokens < seen.end; ++page) {
      const int token = begin + page * kPageTokens;
      pages_[page] = page_at(token);
      const bool more = token + kBlockTokens < longest_;
      ahead_[page] = more ? page_at(token + kBlockTokens) - pages_[page] : 0;
      if constexpr (kScaled) copy_scales(page);
      for (int p = 0; p < panel_count_; ++p) {
        if (panels_[p].earliest >= token + kPageTokens || panels_[p].longest <= token) continue;
        kScorePage[panels_[p].rows - 1](*this, panels_[p], page);
      }
      if (args_.head.shared) copy_values(page);
    }
    weigh(begin);
    for (int64_t d = 0; d < width_; d += 16 * kPairVectors) {
      const bool wide = width_ - d >= 16 * kPairVectors;
      for (int p = 0; p < panel_count_; ++p) {
        const Panel& panel = panels_[p];
        const Part part = part_within(panel.earliest, panel.longest, begin, kBlockTokens);
        if (part.begin >= part.end) continue;
        const auto* add = wide ? kAddValues : kAddLastValues;
        add[panel.rows - 1](*this, panel, part, d, records);
      }
    }
  }

  template <int kRows>
  static void score_page(const Tile& tile, const Panel& panel, int page) {
    const int key_dim = tile.args_.head.key_dim;
    const Number* queries = tile.queries_ + int64_t{panel.first} * key_dim;
    float* scores = tile.scores_ + panel.first * kScoresRow + page * kPageTokens;
    const std::byte* keys = tile.pages_[page];
    for (int half = 0; half < kPageTokens; half += 16 * kPairVectors) {
      Products<Page, kRows, kPairVectors> products;
      products.start();
      products.add(keys + half / 16 * kKeyStrides<Page>.vector, kKeyStrides<Page>, key_dim / 2,
                   queries, 2, 2 * kRows, panel.first == 0 ? tile.ahead_[page] : 0);
      for (int i = 0; i < kRows; ++i) {
        for (int v = 0; v < kPairVectors; ++v) {
          store(scores + i * kScoresRow + half + v * 16, Page::finish(products.sums[i][v]));
        }
      }
    }
  }

  // Turns scores into weights of the block's values. In loops over all queries, whose steps do not
  // wait for each other.
  void weigh(int begin) {
    for (int i = 0; i < args_.count; ++i) {
      const Part seen = part_within(args_.starts[i], args_.lengths[i], begin, kBlockTokens);
      seen.begin == 0 && seen.end == kBlockTokens ? find_largest<true>(i, seen)
                                                  : find_largest<false>(i, seen);
    }
    for (int i = 0; i < args_.count; ++i) {
      const Part seen = part_within(args_.starts[i], args_.lengths[i], begin, kBlockTokens);
      seen.begin == 0 && seen.end == kBlockTokens ? find_weights<true>(i, seen)
                                                  : find_weights<false>(i, seen);
    }
    if constexpr (kScaled) {
      for (int i = 0; i < args_.count; ++i) narrow_weights(i);
    }
    for (int i = 0; i < args_.count; i += 16) {
      const F32x16 before = load(largest_ + i);
      const F32x16 block = load(block_largest_ + i);
      const F32x16 now = max(before, block);
      const F32x16 keep = exp2_below_one(sub(before, now));
      const F32x16 factor = exp2_below_one(sub(block, now));
      store(largest_ + i, now);
      store(total_ + i, fma(load(block_total_ + i), factor, mul(load(total_ + i), keep)));
      store(keep_ + i, keep);
      store(factor_ + i, mul(factor, load(unit_ + i)));
    }
  }

  // A score of the query, as the exponent of 2. kWhole: the query sees the whole block.
  template <bool kWhole>
  HEARTH_INLINE F32x16 score(int query, Part seen, int t) const {
    F32x16 x = mul(load(scores_ + query * kScoresRow + t), set1(query_scales_[query]));
    if constexpr (kScaled) x = mul(x, load(key_scales_ + t));
    return kWhole ? x : merge_part(x, set1(kUnseen), seen, t);
  }

  template <bool kWhole>
  HEARTH_INLINE void find_largest(int query, Part seen) {
    F32x16 largest = set1(kUnseen);
    for (int t = 0; t < kBlockTokens; t += 16)
      largest = max(largest, score<kWhole>(query, seen, t));
    block_largest_[query] = reduce_max(largest);
  }

  template <bool kWhole>
  HEARTH_INLINE void find_weights(int query, Part seen) {
    float* row = scores_ + query * kScoresRow;
    const F32x16 largest = set1(block_largest_[query]);
    F32x16 total = zero();
    F32x16 heaviest = zero();
    F32x16 sum = zero();
    for (int t = 0; t < kBlockTokens; t += 16) {
      F32x16 weight = exp2_below_one(sub(score<kWhole>(query, seen, t), largest));
      if (!kWhole) weight = merge_part(weight, zero(), seen, t);
      total = add(total, weight);
      if constexpr (kScaled) {
        weight = mul(weight, load(value_scales_ + t));
        if (!kWhole) weight = merge_part(weight, zero(), seen, t);
        heaviest = max(heaviest, weight);
        sum = add(sum, weight);
      }
      store(row + t, weight);
    }
    block_total_[query] = reduce_add(total);
    unit_[query] = 1;
    if constexpr (kScaled) {
      // Sums of integers times values stay in 32 bits.
      constexpr float kSumMax = 2147483647.0f / Page::kFormat.largest - kBlockTokens;
      const float by_heaviest = reduce_max(heaviest) / 32767;
      const float by_sum = reduce_add(sum) / kSumMax;
      unit_[query] = by_heaviest > by_sum ? by_heaviest : by_sum;
    }
  }

  // To integers, each unit_ times its number.
  HEARTH_INLINE void narrow_weights(int query) {
    float* row = scores_ + query * kScoresRow;
    const float unit = unit_[query];
    const F32x16 inverse = set1(unit > 1e-34f ? 1 / unit : 0);
    auto* numbers = reinterpret_cast<int16_t*>(row);
    for (int t = 0; t < kBlockTokens; t += 16) {
      store_int16(numbers + t, to_int(mul(load(row + t), inverse)));
    }
  }

  template <int kRows, int kVectors>
  static void add_values(const Tile& tile, const Panel& panel, Part part, int64_t d,
                         float* records) {
    constexpr Strides kStrides = kValueStrides<Page>;
    const int64_t column = d / 16 * kStrides.vector;
    const auto* weights = reinterpret_cast<const Number*>(tile.scores_ + panel.first * kScoresRow);
    Products<Page, kRows, kVectors> products;
    products.start();
    for (int page = part.begin / kPageTokens; page * kPageTokens < part.end; ++page) {
      const int left = part.end - page * kPageTokens;
      const int tokens = left < kPageTokens ? left : kPageTokens;
      const std::byte* values = tile.values_of(page) + column;
      const Number* w = weights + page * kPageTokens;
      products.add(values, kStrides, tokens / 2, w, kWeightsRow, 2,
                   panel.first == 0 ? tile.ahead_[page] : 0);
      if (tokens % 2 != 0) {
        products.template step<true>(values + tokens / 2 * kStrides.step, kStrides,
                                     w + tokens / 2 * 2, kWeightsRow);
      }
    }
    for (int i = 0; i < kRows; ++i) {
      float* sums = records + (panel.first + i) * tile.record_ + d;
      const F32x16 keep = set1(tile.keep_[panel.first + i]);
      const F32x16 factor = set1(tile.factor_[panel.first + i]);
      for (int v = 0; v < kVectors; ++v) {
        store(sums + v * 16,
              fma(Page::finish(products.sums[i][v]), factor, mul(load(sums + v * 16), keep)));
      }
    }
  }

  const std::byte* values_of(int page) const {
    const int64_t bytes = kPageTokens * Page::kFormat.bytes;
    return args_.head.shared ? values_ + page * width_ * bytes
                             : pages_[page] + args_.head.key_dim * bytes;
  }

  void copy_scales(int page) {
    const auto* keys =
        reinterpret_cast<const float*>(pages_[page] + kv_scales_at(Page::kFormat, args_.head));
    const float* values = keys + (args_.head.shared ? 0 : kPageTokens);
    for (int t = 0; t < kPageTokens; t += 16) {
      store(key_scales_ + page * kPageTokens + t, load(keys + t));
      store(value_scales_ + page * kPageTokens + t, load(values + t));
    }
  }

  // Values out of keys, where they are stored once.
  void copy_values(int page) {
    using Word = typename Page::Stored;
    const auto* keys = reinterpret_cast<const Word*>(pages_[page]);
    auto* values = reinterpret_cast<Word*>(values_ + page * width_ * kPageTokens * sizeof(Word));
    const KvHead head = {.key_dim = 0, .value_dim = args_.head.value_dim};
    for (int t = 0; t < kPageTokens; ++t) {
      for (int d = 0; d < head.value_dim; ++d) {
        values[kv_value_at(Page::kFormat, head, t, d)] = keys[kv_key_at(Page::kFormat, t, d)];
      }
    }
  }

  using ScorePage = void (*)(const Tile&, const Panel&, int);
  using AddValues = void (*)(const Tile&, const Panel&, Part, int64_t, float*);
  template <class Rows>
  struct ByRows;
  template <int... kRow>
  struct ByRows<std::integer_sequence<int, kRow...>> {
    static constexpr ScorePage kScorePage[] = {score_page<kRow + 1>...};
    static constexpr AddValues kAddValues[] = {add_values<kRow + 1, kPairVectors>...};
    static constexpr AddValues kAddLastValues[] = {add_values<kRow + 1, 1>...};
  };
  using Tables = ByRows<std::make_integer_sequence<int, Page::kRows>>;
  static constexpr const ScorePage* kScorePage = Tables::kScorePage;
  static constexpr const AddValues* kAddValues = Tables::kAddValues;
  static constexpr const AddValues* kAddLastValues = Tables::kAddLastValues;

  const AttentionArgs& args_;
  const int64_t width_;
  const int64_t record_;  // floats
  Number* queries_;
  float* scores_;  // [query][kBlockTokens], then weights
  float* whole_;   // records of all that was seen
  float* span_;    // and of a span
  std::byte* values_;
  const std::byte* pages_[kBlockTokens / kPageTokens] = {};
  int64_t ahead_[kBlockTokens / kPageTokens] = {};  // bytes to the same page of the next block
  Panel panels_[kTileQueries];
  int longest_ = 0;
  int panel_count_ = 0;
  float key_scales_[kBlockTokens];
  float value_scales_[kBlockTokens];
  float query_scales_[kTileQueries];
  // Per query, of the block and of the span so far.
  float block_largest_[kTileQueries];
  float block_total_[kTileQueries];
  float largest_[kTileQueries];
  float total_[kTileQueries];
  // What the span's values are multiplied with, what the block's weights times values are, and what
  // one of its weights stands for.
  float keep_[kTileQueries];
  float factor_[kTileQueries];
  float unit_[kTileQueries];
};

template <class Page>
void attend(const AttentionArgs& args) {
  Tile<Page> tile(args);
  if (args.span_records == nullptr) {
    tile.attend();
  } else {
    tile.attend_span(args.span_begin, args.span_records);
  }
}

void add_spans(const SpansArgs& args) {
  const int64_t width = kv_width(args.head);
  const Gathered all = gathered_at(args.scratch, width);
  start_gathering(all, args.sink, width);
  for (int i = 0; i < args.spans; ++i) {
    add_span(all, gathered_at(args.records + i * args.stride, width), width);
  }
  finish_gathering(all, args.head.value_dim, args.out);
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
