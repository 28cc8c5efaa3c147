#include "engine/models/pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/models/rope.h"

namespace hearth::engine {

using kernels::kBlockRows;
using kernels::kGroup;
using kernels::kHalfGroup;
using kernels::kQuadBytes;
using kernels::kTileRows;
using kernels::round_up;

void Pass::embed(const PackedMatrix& embedding, std::span<const int32_t> tokens) {
  const Range range = worker_.part(rows());
  for (int64_t r = range.begin; r < range.end; ++r) {
    unpack_row(embedding, tokens[r], activations().x + r * spec().hidden);
  }
}

void Pass::copy(const float* from, float* to, int64_t columns) {
  const Range range = worker_.part(rows());
  std::memcpy(to + range.begin * columns, from + range.begin * columns,
              sizeof(float) * (range.end - range.begin) * columns);
}

void Pass::prepare_rope() {
  const Range range = worker_.part(rows());
  const int64_t pairs = spec().head_dim / 2;
  for (const Segment& segment : rows_.segments) {
    for (int i = 0; i < segment.rows; ++i) {
      const int64_t row = segment.first_row + i;
      if (row < range.begin || row >= range.end) continue;
      rope_angles(context_.rope_frequencies, segment.position + i,
                  activations().cosines + row * pairs, activations().sines + row * pairs);
    }
  }
}

struct Pass::TilePlan {
  const float* x = nullptr;  // [rows, columns]
  int rows = 0;
  int64_t columns = 0;
  const std::vector<float>* norm = nullptr;  // applied to each row first
  std::span<const int32_t> chosen;           // row numbers; empty: all
  bool floats = false;                       // the layouts wanted
  bool quantised = false;
};

// Few rows (decoding) every worker prepares for itself, which costs less than a barrier; of many,
// each prepares some for all.
Tiles Pass::make_tiles(const TilePlan& plan) {
  const kernels::Kernels& k = *context_.kernels;
  Activations::Private& own = activations().threads[worker_.index()];
  const bool shared = plan.rows > kTileRows;
  const int64_t padded = round_up(plan.columns, kGroup);
  const int64_t tile_count = (plan.rows + kTileRows - 1) / kTileRows;
  const Range range = shared ? worker_.part(tile_count) : Range{0, tile_count};
  const Tiles tiles{shared ? activations().shared : own.tile, plan.rows, padded};
  for (int64_t t = range.begin; t < range.end; ++t) {
    const int64_t first = t * kTileRows;
    const int m = static_cast<int>(std::min<int64_t>(kTileRows, plan.rows - first));
    const float* tile_rows = plan.x + first * plan.columns;
    if (plan.norm != nullptr) {
      for (int i = 0; i < m; ++i) {
        const int64_t row = plan.chosen.empty() ? first + i : plan.chosen[first + i];
        k.rms_norm(plan.x + row * plan.columns, plan.norm->data(), plan.columns,
                   spec().norm_epsilon, own.normed + i * plan.columns);
      }
      tile_rows = own.normed;
    }
    const TileStorage& out = tiles.storage;
    const int64_t at = first * padded;
    if (plan.floats) k.tile_f32(tile_rows, m, plan.columns, out.x + at);
    if (plan.quantised) {
      k.tile_q(tile_rows, m, plan.columns, out.xq + at / 4 * kQuadBytes,
               out.xq_scales + at / kGroup, out.xq_sums + at / kHalfGroup);
    }
  }
  if (shared) barrier();
  return tiles;
}

namespace {

bool quantises(const PackedMatrix& matrix, Precision precision) {
  return precision == Precision::kDefault && matrix.quantised();
}

}  // namespace

Tiles Pass::normed_tiles(const float* x, const std::vector<float>& weight,
                         std::initializer_list<const PackedMatrix*> matrices,
                         std::span<const int32_t> chosen) {
  TilePlan plan{.x = x,
                .rows = chosen.empty() ? rows() : static_cast<int>(chosen.size()),
                .columns = spec().hidden,
                .norm = &weight,
                .chosen = chosen};
  for (const PackedMatrix* matrix : matrices) {
    (quantises(*matrix, context_.precision) ? plan.quantised : plan.floats) = true;
  }
  return make_tiles(plan);
}

Tiles Pass::tiles(const float* x, int64_t columns, const PackedMatrix& matrix) {
  const bool quantised = quantises(matrix, context_.precision);
  return make_tiles(
      {.x = x, .rows = rows(), .columns = columns, .floats = !quantised, .quantised = quantised});
}

void Pass::multiply(const Tiles& tiles, std::initializer_list<Product> products) {
  int64_t total = 0;
  for (const Product& product : products) total += product.matrix->blocks();
  const Range range = worker_.part(total);
  int64_t first = 0;  // the product's first block among all
  for (const Product& product : products) {
    const PackedMatrix& matrix = *product.matrix;
    const int64_t begin = std::max<int64_t>(range.begin - first, 0);
    const int64_t end = std::min(range.end - first, matrix.blocks());
    first += matrix.blocks();
    if (begin >= end) continue;
    const auto encoding = static_cast<int>(matrix.encoding);
    const bool quantised = quantises(matrix, context_.precision);
    const auto matmul =
        quantised ? context_.kernels->matmul_q[encoding] : context_.kernels->matmul[encoding];
    matmul({.weights = matrix.data,
            .block_bytes = matrix.block_bytes(),
            .groups = matrix.groups,
            .columns = tiles.columns,
            .rows = tiles.rows,
            .x = tiles.storage.x,
            .xq = tiles.storage.xq,
            .xq_scales = tiles.storage.xq_scales,
            .xq_sums = tiles.storage.xq_sums,
            .out = product.out,
            .out_stride = matrix.rows,
            .out_columns = matrix.rows,
            .block_begin = begin,
            .block_end = end,
            .add = product.add});
    if (product.bias == nullptr) continue;
    const int64_t column = begin * kBlockRows;
    const int64_t count = std::min(end * kBlockRows, matrix.rows) - column;
    for (int r = 0; r < tiles.rows; ++r) {
      context_.kernels->add(product.out + r * matrix.rows + column, product.bias->data() + column,
                            count);
    }
  }
}

template <class Body>
void Pass::for_each_head_group(Body body) {
  const Range range = worker_.part(int64_t{rows()} * spec().kv_heads);
  for (int64_t i = range.begin; i < range.end; ++i) {
    body(i / spec().kv_heads, static_cast<int>(i % spec().kv_heads));
  }
}

void Pass::norm_heads(const std::vector<float>& q_norm, const std::vector<float>& k_norm) {
  const int d = spec().head_dim;
  const int group = spec().heads / spec().kv_heads;
  const auto norm = [&](float* head, const std::vector<float>& weight) {
    context_.kernels->rms_norm(head, weight.data(), d, spec().norm_epsilon, head);
  };
  for_each_head_group([&](int64_t row, int kv_head) {
    norm(activations().k + (row * spec().kv_heads + kv_head) * d, k_norm);
    float* q = activations().q + (row * spec().heads + int64_t{kv_head} * group) * d;
    for (int h = 0; h < group; ++h) norm(q + int64_t{h} * d, q_norm);
  });
}

void Pass::rotate_heads() {
  const int d = spec().head_dim;
  const int group = spec().heads / spec().kv_heads;
  const auto rope =
      spec().rope.interleaved ? context_.kernels->rope_interleaved : context_.kernels->rope_half;
  for_each_head_group([&](int64_t row, int kv_head) {
    const float* cosines = activations().cosines + row * d / 2;
    const float* sines = activations().sines + row * d / 2;
    rope(activations().k + (row * spec().kv_heads + kv_head) * d, cosines, sines, d);
    float* q = activations().q + (row * spec().heads + int64_t{kv_head} * group) * d;
    for (int h = 0; h < group; ++h) rope(q + int64_t{h} * d, cosines, sines, d);
  });
}

void Pass::store_keys_and_values(int layer) {
  const int d = spec().head_dim;
  auto segment = rows_.segments.begin();
  for_each_head_group([&](int64_t row, int kv_head) {
    while (row >= segment->first_row + segment->rows) ++segment;
    const int64_t at = (row * spec().kv_heads + kv_head) * d;
    context_.kv->write(layer, kv_head, segment->slot,
                       segment->position + static_cast<int>(row) - segment->first_row,
                       activations().k + at, activations().v + at);
  });
}

void Pass::attend(int layer) {
  const int group = spec().heads / spec().kv_heads;
  // Later tiles of a prompt see more tokens, so neighbours go to different workers.
  int64_t task = 0;
  for (const Segment& segment : rows_.segments) {
    for (int first = 0; first < segment.rows * group; first += kTileRows) {
      for (int kv_head = 0; kv_head < spec().kv_heads; ++kv_head, ++task) {
        if (task % worker_.count() == worker_.index()) {
          attend_tile(layer, segment, kv_head, first);
        }
      }
    }
  }
}

// Queries are numbered row by row, the group's heads of a row together.
void Pass::attend_tile(int layer, const Segment& segment, int kv_head, int first_query) {
  const int group = spec().heads / spec().kv_heads;
  const int64_t d = spec().head_dim;
  const float* queries[kTileRows];
  float* outputs[kTileRows];
  int lengths[kTileRows];
  const int count = std::min(kTileRows, segment.rows * group - first_query);
  for (int i = 0; i < count; ++i) {
    const int row = (first_query + i) / group;
    const int64_t head = int64_t{kv_head} * group + (first_query + i) % group;
    const int64_t at = ((segment.first_row + row) * int64_t{spec().heads} + head) * d;
    queries[i] = activations().q + at;
    outputs[i] = activations().attention + at;
    lengths[i] = segment.position + row + 1;
  }
  const auto attention = context_.precision == Precision::kExact ? context_.kernels->attention_f32
                                                                 : context_.kernels->attention_bf16;
  attention({.queries = queries,
             .outputs = outputs,
             .lengths = lengths,
             .count = count,
             .head_dim = spec().head_dim,
             .scale = 1.0f / std::sqrt(static_cast<float>(d)),
             .pool = context_.kv->pool(layer, kv_head),
             .table = context_.kv->table(segment.slot),
             .page_bytes = context_.kv->page_bytes()});
}

void Pass::feed_forward(const LayerWeights& w) {
  Activations& a = activations();
  const Tiles h = normed_tiles(a.x, w.ffn_norm, {&w.gate, &w.up});
  // The same columns of both products fall to the same worker, so it can combine them at once.
  multiply(h, {{.matrix = &w.gate, .out = a.gate}});
  multiply(h, {{.matrix = &w.up, .out = a.up}});
  const Range blocks = worker_.part(w.gate.blocks());
  const int64_t column = blocks.begin * kBlockRows;
  const int64_t count = std::min<int64_t>(blocks.end * kBlockRows, spec().ffn) - column;
  for (int64_t r = 0; r < rows() && count > 0; ++r) {
    const int64_t at = r * spec().ffn + column;
    context_.kernels->silu_mul(a.gate + at, a.up + at, count);
  }
  barrier();
  multiply(tiles(a.gate, spec().ffn, w.down), {{.matrix = &w.down, .out = a.x, .add = true}});
}

}  // namespace hearth::engine
