// Attention of a pass: what is done by which worker.
#include <algorithm>
#include <cmath>

#include "engine/models/pass.h"

namespace hearth::engine {

using kernels::kSpanTokens;
using kernels::kTileQueries;

// Queries of one segment and KV head; they are numbered row by row, the heads of a row that read
// the KV head together. With span >= 0 they attend to that span only.
struct Pass::AttentionTask {
  const Segment& segment;
  int kv_head = 0;
  int first = 0;
  int count = 0;
  int span = -1;
  int64_t record = 0;  // of the first query and this span
};

namespace {

bool decodes(const Segment& segment) { return segment.rows == 1; }

}  // namespace

// Whether single rows are divided further, by spans of tokens: when there are too few tasks to keep
// all workers equally busy. What comes out is the same.
bool Pass::divides_spans() const {
  const int heads = context_.kv->shape().kv_heads;
  int64_t tasks = 0;
  for (const Segment& segment : rows_.segments) {
    for (int head = 0; head < heads; ++head) {
      const int64_t queries = segment.rows * slice().queries_of(head).size();
      tasks += (queries + kTileQueries - 1) / kTileQueries;
    }
  }
  constexpr int kTasksPerWorker = 4;
  return tasks % workers() != 0 && tasks < int64_t{kTasksPerWorker} * workers();
}

// With a row a sequence, a row's KV head is a task.
bool Pass::attends_own_heads() const {
  return std::all_of(rows_.segments.begin(), rows_.segments.end(), decodes) &&
         slice().queries_per_key <= kTileQueries && !divides_spans();
}

// The spans that the segment's rows see.
Range Pass::spans_of(int layer, const Segment& segment) const {
  const int first = slides(layer) ? std::max(0, segment.position + 1 - spec().window) : 0;
  const int end = segment.position + segment.rows;
  return {first / kSpanTokens, (end + kSpanTokens - 1) / kSpanTokens};
}

template <class Body>
void Pass::for_each_attention_task(int layer, bool divide, Body body) {
  const int kv_heads = context_.kv->shape().kv_heads;
  int64_t most = 0;  // queries of a row and KV head
  for (int i = 0; i < kv_heads; ++i) most = std::max(most, slice().queries_of(i).size());
  int64_t record = 0;
  for (const Segment& segment : rows_.segments) {
    const bool divided = divide && decodes(segment);
    const Range spans = divided ? spans_of(layer, segment) : Range{-1, 0};
    for (int first = 0; first < segment.rows * most; first += kTileQueries) {
      for (int64_t span = spans.begin; span < spans.end; ++span) {
        for (int kv_head = 0; kv_head < kv_heads; ++kv_head) {
          const Range heads = slice().queries_of(kv_head);
          const int count = static_cast<int>(
              std::min<int64_t>(kTileQueries, segment.rows * heads.size() - first));
          if (count <= 0) continue;
          const int64_t query = heads.begin + first;
          body(AttentionTask{segment, kv_head, first, count, static_cast<int>(span),
                             record + (span - spans.begin) * spec().heads + query});
        }
      }
    }
    if (divided) record += (spans.end - spans.begin) * spec().heads;
  }
}

void Pass::attend(int layer, const Attention& attention) {
  const bool divide = divides_spans();
  // Later tiles of a prompt see more tokens, so neighbours go to different workers.
  int64_t number = 0;
  for_each_attention_task(layer, divide, [&](const AttentionTask& task) {
    if (number++ % workers() == worker()) attend(layer, attention, task);
  });
  if (!divide) return;
  barrier();
  add_spans(layer, attention);
}

void Pass::attend(int layer, const Attention& attention, const AttentionTask& task) {
  const KvShape& kv = context_.kv->shape();
  const Range heads = slice().queries_of(task.kv_head);
  const float* queries[kTileQueries];
  float* outputs[kTileQueries];
  int starts[kTileQueries];
  int lengths[kTileQueries];
  float sinks[kTileQueries];
  const bool has_sinks = attention.sinks != nullptr && !attention.sinks->empty();
  for (int i = 0; i < task.count; ++i) {
    const int row = static_cast<int>((task.first + i) / heads.size());
    const int64_t head = heads.begin + (task.first + i) % heads.size();
    const int64_t at = (task.segment.first_row + row) * int64_t{spec().heads} + head;
    queries[i] = attention.queries + at * kv.head.key_dim;
    outputs[i] = attention.out + at * kv.head.value_dim;
    lengths[i] = task.segment.position + row + 1;
    starts[i] = slides(layer) ? std::max(0, lengths[i] - spec().window) : 0;
    if (has_sinks) sinks[i] = (*attention.sinks)[head];
  }
  const bool whole = task.span < 0;
  const int64_t record = task.record * kernels::kv_record_floats(kv.head);
  kernels().attention->attend[static_cast<int>(kv.type)](
      {.queries = queries,
       .outputs = outputs,
       .starts = starts,
       .lengths = lengths,
       .sinks = has_sinks ? sinks : nullptr,
       .count = task.count,
       .head = kv.head,
       .scale = spec().attention_scale,
       .pool = context_.kv->pool(layer, task.kv_head),
       .table = context_.kv->table(layer, task.segment.slot),
       .page_bytes = context_.kv->page_bytes(layer),
       .scratch = own().attention,
       .span_records = whole ? nullptr : activations().spans + record,
       .span_begin = whole ? 0 : task.span * kSpanTokens});
  if (!whole || attention.gates == nullptr) return;
  for (int i = 0; i < task.count; ++i) apply_gate(attention, outputs[i]);
}

// Adds up the spans of the segments that were divided, head by head.
void Pass::add_spans(int layer, const Attention& attention) {
  const kernels::KvHead& head = context_.kv->shape().head;
  const int64_t record_floats = kernels::kv_record_floats(head);
  const bool has_sinks = attention.sinks != nullptr && !attention.sinks->empty();
  float* records = activations().spans;
  for (const Segment& segment : rows_.segments) {
    if (!decodes(segment)) continue;
    const Range spans = spans_of(layer, segment);
    const Range heads = part(spec().heads);
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      float* out = attention.out + (int64_t{segment.first_row} * spec().heads + h) * head.value_dim;
      kernels().attention->add_spans({.records = records + h * record_floats,
                                      .stride = spec().heads * record_floats,
                                      .spans = static_cast<int>(spans.end - spans.begin),
                                      .sink = has_sinks ? &(*attention.sinks)[h] : nullptr,
                                      .head = head,
                                      .scratch = own().attention,
                                      .out = out});
      if (attention.gates != nullptr) apply_gate(attention, out);
    }
    records += (spans.end - spans.begin) * spec().heads * record_floats;
  }
}

// `out` is what a query received, a part of attention.out.
void Pass::apply_gate(const Attention& attention, float* out) const {
  const float* gate = attention.gates + (out - attention.out);
  for (int d = 0; d < context_.kv->shape().head.value_dim; ++d) out[d] /= 1 + std::exp(-gate[d]);
}

}  // namespace hearth::engine
