// The reference: one token after the other, in floats.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "engine/kernels/numbers.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {
namespace {

template <int kType>
struct PageOf {
  static constexpr KvFormat kFormat = kKvFormats[kType];
  static constexpr bool kScaled = kFormat.largest != 0;
  using Number =
      std::conditional_t<kFormat.bytes == 4, float,
                         std::conditional_t<kFormat.bytes == 1, int8_t,
                                            std::conditional_t<kScaled, int16_t, uint16_t>>>;

  std::byte* bytes;
  KvHead head;

  template <class T>
  T load(int64_t at) const {
    T value;
    std::memcpy(&value, bytes + at * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
  }
  template <class T>
  void store(int64_t at, T value) const {
    std::memcpy(bytes + at * static_cast<int64_t>(sizeof value), &value, sizeof value);
  }
  int64_t scale_at(int t, bool of_value) const {
    return kv_scales_at(kFormat, head) / static_cast<int64_t>(sizeof(float)) +
           (of_value && !head.shared ? kPageTokens : 0) + t;
  }
  int64_t value_at(int t, int d) const {
    return head.shared ? kv_key_at(kFormat, t, d) : kv_value_at(kFormat, head, t, d);
  }
  float number(int64_t at) const {
    const auto stored = load<Number>(at);
    return std::is_same_v<Number, uint16_t> ? from_bf16(static_cast<uint16_t>(stored))
                                            : static_cast<float>(stored);
  }
  float key(int t, int d) const {
    return number(kv_key_at(kFormat, t, d)) * (kScaled ? load<float>(scale_at(t, false)) : 1);
  }
  float value(int t, int d) const {
    return number(value_at(t, d)) * (kScaled ? load<float>(scale_at(t, true)) : 1);
  }
};

// The scale of a vector of integers up to `largest` that may be so long.
float scale_of(const float* x, int n, int largest, float longest) {
  float max = 0;
  float squares = 0;
  for (int i = 0; i < n; ++i) {
    max = std::fabs(x[i]) > max ? std::fabs(x[i]) : max;
    squares += x[i] * x[i];
  }
  const float scale = std::fmax(max / static_cast<float>(largest), std::sqrt(squares) / longest);
  // Below this the reciprocal could overflow, and nothing is lost by zero.
  return scale > 1e-34f ? scale : 0;
}

template <int kType>
void store(const KvStoreArgs& args) {
  using Page = PageOf<kType>;
  using Number = typename Page::Number;
  constexpr int kLargest = Page::kFormat.largest;
  const Page page{args.page, args.head};
  const auto put = [&](int64_t at, float x, float scale) {
    if constexpr (Page::kScaled) {
      const float rounded = scale > 0 ? std::nearbyint(x * (1 / scale)) : 0;
      page.store(at, static_cast<Number>(
                         std::fmax(std::fmin(rounded, 1.0f * kLargest), -1.0f * kLargest)));
    } else if constexpr (sizeof(Number) == sizeof(float)) {
      page.store(at, x);
    } else {
      page.store(at, to_bf16(x));
    }
  };
  float scale = Page::kScaled ? scale_of(args.key, args.head.key_dim, kLargest, kKvNormMax) : 1;
  for (int d = 0; d < args.head.key_dim; ++d) {
    put(kv_key_at(Page::kFormat, args.token, d), args.key[d], scale);
  }
  if (Page::kScaled) page.store(page.scale_at(args.token, false), scale);
  if (args.head.shared) return;
  scale = Page::kScaled ? scale_of(args.value, args.head.value_dim, kLargest, INFINITY) : 1;
  for (int d = 0; d < args.head.value_dim; ++d) {
    put(page.value_at(args.token, d), args.value[d], scale);
  }
  if (Page::kScaled) page.store(page.scale_at(args.token, true), scale);
}

// Values [width], the largest score and the sum of e^(score - largest), each in 16 places.
struct Record {
  float* values;
  int width;

  float& largest() const { return values[width]; }
  float& total() const { return values[width + 16]; }
  void start(const float* sink) const {
    for (int d = 0; d < width; ++d) values[d] = 0;
    largest() = sink == nullptr ? -INFINITY : *sink;
    total() = sink == nullptr ? 0 : 1;
  }
  // Keeps what there is and adds values(d), which go with a score and a weight of `sum`.
  template <class Values>
  void add(float score, float sum, Values more) const {
    const float new_largest = std::fmax(largest(), score);
    const float keep = std::exp(largest() - new_largest);
    const float factor = std::exp(score - new_largest);
    for (int d = 0; d < width; ++d) values[d] = values[d] * keep + more(d) * factor;
    total() = total() * keep + sum * factor;
    largest() = new_largest;
  }
  void add(const Record& span) const {
    if (span.total() == 0) return;
    add(span.largest(), span.total(), [&](int d) { return span.values[d]; });
  }
  void finish(int value_dim, float* out) const {
    for (int d = 0; d < value_dim; ++d) out[d] = values[d] / total();
  }
};
Record record_at(float* floats, const KvHead& head) {
  return {floats, static_cast<int>(kv_width(head))};
}

// What a query sees of the span that begins at this token.
template <int kType>
void attend_span(const AttentionArgs& args, int index, int begin, const Record& record) {
  const float* query = args.queries[index];
  const KvHead& head = args.head;
  record.start(nullptr);
  for (int t = begin; t < begin + kSpanTokens; ++t) {
    if (t < args.starts[index] || t >= args.lengths[index]) continue;
    const PageOf<kType> page{
        const_cast<std::byte*>(args.pool) + args.table[t / kPageTokens] * args.page_bytes, head};
    float score = 0;
    for (int d = 0; d < head.key_dim; ++d) score += query[d] * page.key(t % kPageTokens, d);
    record.add(score * args.scale, 1,
               [&](int d) { return d < head.value_dim ? page.value(t % kPageTokens, d) : 0; });
  }
}

template <int kType>
void attend(const AttentionArgs& args) {
  const KvHead& head = args.head;
  for (int i = 0; i < args.count; ++i) {
    if (args.span_records != nullptr) {
      attend_span<kType>(args, i, args.span_begin,
                         record_at(args.span_records + i * kv_record_floats(head), head));
      continue;
    }
    const Record all = record_at(args.scratch, head);
    const Record span = record_at(args.scratch + kv_record_floats(head), head);
    all.start(args.sinks == nullptr ? nullptr : args.sinks + i);
    for (int begin = 0; begin < args.lengths[i]; begin += kSpanTokens) {
      attend_span<kType>(args, i, begin, span);
      all.add(span);
    }
    all.finish(head.value_dim, args.outputs[i]);
  }
}

void add_spans(const SpansArgs& args) {
  const Record all = record_at(args.scratch, args.head);
  all.start(args.sink);
  for (int i = 0; i < args.spans; ++i)
    all.add(record_at(args.records + i * args.stride, args.head));
  all.finish(args.head.value_dim, args.out);
}

}  // namespace

const AttentionKernels kScalarAttentionKernels = {
    .store = {store<0>, store<1>, store<2>, store<3>},
    .attend = {attend<0>, attend<1>, attend<2>, attend<3>},
    .add_spans = add_spans,
};

}  // namespace hearth::engine::kernels
