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

std::vector<PassRows> in_two(const PassRows& rows) {
  // Whole blocks of numbers that travel together, so that sums are rounded alike.
  const int first_rows = round_up(rows.rows / 2, kernels::kGroup);
  std::vector<PassRows> parts(2);
  for (const Segment& segment : rows.segments) {
    const int cut = std::clamp(first_rows - segment.first_row, 0, segment.rows);
    for (int p = 0; p < 2; ++p) {
      const Range own = p == 0 ? Range{0, cut} : Range{cut, segment.rows};
      if (own.size() == 0) continue;
      const int done = static_cast<int>(own.begin), count = static_cast<int>(own.size());
      parts[p].segments.push_back({.slot = segment.slot,
                                   .position = segment.position + done,
                                   .rows = count,
                                   .first_row = parts[p].rows});
      parts[p].rows += count;
    }
  }
  parts[1].first_row = parts[0].rows;
  for (PassRows& part : parts) part.overlaps = true;
  return parts;
}

void Pass::all_reduce(float* data, int64_t count) {
  if (slice().alone()) return;
  if (worker() == 0) context_.sums->make({data, static_cast<size_t>(count)});
  barrier();
}

void Pass::embed(const PackedMatrix& embedding, std::span<const int32_t> tokens) {
  const Range range = part(rows());
  for (int64_t r = range.begin; r < range.end; ++r) {
    float* x = this->x() + r * spec().hidden;
    const int64_t row = tokens[r] - slice().vocab.begin;
    if (row < 0 || row >= embedding.rows) {
      std::fill_n(x, spec().hidden, 0.0f);
      continue;
    }
    unpack_row(embedding, row, x);
    if (spec().embedding_scale == 1.0f) continue;
    for (int i = 0; i < spec().hidden; ++i) x[i] *= spec().embedding_scale;
  }
}

void Pass::copy(const float* from, float* to, int64_t columns) {
  const Range range = part(rows());
  std::memcpy(to + range.begin * columns, from + range.begin * columns,
              sizeof(float) * (range.end - range.begin) * columns);
}

void Pass::prepare_rope() {
  const Range range = part(rows());
  for (const Segment& segment : rows_.segments) {
    for (int i = 0; i < segment.rows; ++i) {
      const int64_t row = segment.first_row + i;
      if (row < range.begin || row >= range.end) continue;
      const auto fill = [&](std::span<const double> frequencies, const RopeSpec& rope,
                            const Activations::Angles& angles) {
        const auto at = row * static_cast<int64_t>(frequencies.size());
        rope_angles(frequencies, segment.position + i, rope.attention_factor, angles.cosines + at,
                    angles.sines + at);
      };
      fill(context_.rope_frequencies, spec().rope, activations().angles);
      if (spec().local_rope) {
        fill(context_.local_rope_frequencies, *spec().local_rope, activations().local_angles);
      }
    }
  }
}

struct Pass::TilePlan {
  const float* x = nullptr;  // [rows, columns]
  int rows = 0;
  int64_t columns = 0;
  const std::vector<float>* norm = nullptr;  // applied to each row first
  float epsilon = 0;
  std::span<const int32_t> chosen;  // row numbers; empty: all
  Forms forms;                      // those wanted
};

Forms Pass::form_for(const PackedMatrix& matrix, int rows) const {
  if (context_.precision == Precision::kExact) return {.floats = true};
  const kernels::SlabKernels* slabs = context_.slabs;
  const auto encoding = static_cast<int>(matrix.encoding);
  if (slabs != nullptr && rows >= context_.tuning->slabs_from[encoding] &&
      slabs->matmul[encoding] != nullptr) {
    return {.slabs = true};
  }
  return {.floats = !matrix.quantised(), .quantised = matrix.quantised()};
}

Forms Pass::forms_for(std::initializer_list<const PackedMatrix*> matrices, int rows) const {
  Forms forms;
  for (const PackedMatrix* matrix : matrices) {
    const Forms form = form_for(*matrix, rows);
    forms.floats |= form.floats;
    forms.quantised |= form.quantised;
    forms.slabs |= form.slabs;
  }
  return forms;
}

// Rows first_row .. first_row + m - 1 of the tiles.
void Pass::fill_tile(const float* tile_rows, int m, int64_t columns, const Forms& forms,
                     const Tiles& tiles, int first_row) {
  const TileStorage& storage = tiles.storage;
  const int64_t at = first_row * tiles.columns;
  if (forms.floats) kernels().tile_f32(tile_rows, m, columns, storage.x + at);
  if (forms.quantised) {
    kernels().tile_q(tile_rows, m, columns, storage.xq + at / 4 * kQuadBytes,
                     storage.xq_scales + at / kGroup, storage.xq_sums + at / kHalfGroup);
  }
  if (forms.slabs) {
    for (int i = 0; i < m; ++i) {
      context_.slabs->fill(tile_rows + i * columns, columns, first_row + i, tiles.rows,
                           storage.slabs);
    }
  }
}

// Few rows (decoding) every worker prepares for itself, which costs less than a barrier; of many,
// each prepares some for all.
Tiles Pass::make_tiles(const TilePlan& plan) {
  const bool shared = plan.rows > kTileRows;
  if (plan.columns == 0) return {.rows = plan.rows};  // an empty slice's
  const int64_t tile_count = (plan.rows + kTileRows - 1) / kTileRows;
  const Range range = shared ? part(tile_count) : Range{0, tile_count};
  const Tiles tiles{shared ? activations().shared : own().tile, plan.rows,
                    round_up(plan.columns, kGroup)};
  for (int64_t t = range.begin; t < range.end; ++t) {
    const int first = static_cast<int>(t * kTileRows);
    const int m = std::min(kTileRows, plan.rows - first);
    const float* tile_rows = plan.x + int64_t{first} * plan.columns;
    if (plan.norm != nullptr) {
      for (int i = 0; i < m; ++i) {
        const int64_t row = plan.chosen.empty() ? first + i : plan.chosen[first + i];
        kernels().rms_norm(plan.x + row * plan.columns, plan.norm->data(), plan.columns,
                           plan.epsilon, own().staging + i * plan.columns);
      }
      tile_rows = own().staging;
    }
    fill_tile(tile_rows, m, plan.columns, plan.forms, tiles, first);
  }
  if (shared) barrier();
  return tiles;
}

Tiles Pass::normed_tiles(const float* x, const std::vector<float>& weight, float epsilon,
                         std::initializer_list<const PackedMatrix*> matrices,
                         std::span<const int32_t> chosen) {
  const int row_count = chosen.empty() ? rows() : static_cast<int>(chosen.size());
  return make_tiles({.x = x,
                     .rows = row_count,
                     .columns = static_cast<int64_t>(weight.size()),
                     .norm = &weight,
                     .epsilon = epsilon,
                     .chosen = chosen,
                     .forms = forms_for(matrices, row_count)});
}

Tiles Pass::tiles(const float* x, int64_t columns,
                  std::initializer_list<const PackedMatrix*> matrices) {
  return make_tiles(
      {.x = x, .rows = rows(), .columns = columns, .forms = forms_for(matrices, rows())});
}

Tiles Pass::own_tiles(const RowsView& x, int row_count,
                      std::initializer_list<const PackedMatrix*> matrices) {
  if (x.columns == 0) return {.rows = row_count};
  const Forms forms = forms_for(matrices, row_count);
  const Tiles tiles{own().tile, row_count, round_up(x.columns, kGroup)};
  for (int first = 0; first < row_count; first += kTileRows) {
    const int m = std::min(kTileRows, row_count - first);
    const float* tile_rows = x.row(first);
    if (m > 1 && (x.chosen != nullptr || x.stride != x.columns)) {
      for (int i = 0; i < m; ++i) {
        std::memcpy(own().staging + i * x.columns, x.row(first + i), sizeof(float) * x.columns);
      }
      tile_rows = own().staging;
    }
    fill_tile(tile_rows, m, x.columns, forms, tiles, first);
  }
  return tiles;
}

void Pass::multiply(const Tiles& tiles, std::initializer_list<Product> products) {
  int64_t total = 0;
  for (const Product& product : products) total += product.matrix->blocks();
  worker_.deal(total, [&](Range range) {
    int64_t first = 0;  // the product's first block among all
    for (const Product& product : products) {
      const PackedMatrix& matrix = *product.matrix;
      const Range blocks{std::max<int64_t>(range.begin - first, 0),
                         std::min(range.end - first, matrix.blocks())};
      first += matrix.blocks();
      const bool biased = product.bias != nullptr && !product.bias->empty();
      multiply_blocks(tiles, matrix, blocks, product.out, matrix.rows,
                      biased ? product.bias->data() : nullptr, product.add);
    }
  });
}

void Pass::multiply_blocks(const Tiles& tiles, const PackedMatrix& matrix, Range blocks, float* out,
                           int64_t out_stride, const float* bias, bool add) {
  if (blocks.begin >= blocks.end) return;
  const int64_t column = blocks.begin * kBlockRows;
  const int64_t count = std::min(blocks.end * kBlockRows, matrix.rows) - column;
  if (matrix.columns > 0) {
    run_kernel(tiles, matrix, blocks, out, out_stride, add);
  } else if (!add) {  // an empty slice's
    for (int r = 0; r < tiles.rows; ++r) std::fill_n(out + r * out_stride + column, count, 0.0f);
  }
  if (bias == nullptr) return;
  for (int r = 0; r < tiles.rows; ++r) {
    kernels().add(out + r * out_stride + column, bias + column, count);
  }
}

void Pass::run_kernel(const Tiles& tiles, const PackedMatrix& matrix, Range blocks, float* out,
                      int64_t out_stride, bool add) {
  const auto encoding = static_cast<int>(matrix.encoding);
  const Forms form = form_for(matrix, tiles.rows);
  const auto matmul = form.slabs       ? context_.slabs->matmul[encoding]
                      : form.quantised ? kernels().matmul_q[encoding]
                                       : kernels().matmul[encoding];
  matmul({.weights = matrix.data,
          .block_bytes = matrix.block_bytes(),
          .groups = matrix.groups,
          .columns = tiles.columns,
          .rows = tiles.rows,
          .x = tiles.storage.x,
          .xq = tiles.storage.xq,
          .xq_scales = tiles.storage.xq_scales,
          .xq_sums = tiles.storage.xq_sums,
          .slabs = tiles.storage.slabs,
          .out = out,
          .out_stride = out_stride,
          .out_columns = matrix.rows,
          .block_begin = blocks.begin,
          .block_end = blocks.end,
          .add = add,
          .panel_rows = context_.tuning->panel_rows[encoding],
          .panel = own().panel});
}

void Pass::multiply_each(std::span<const PackedMatrix> matrices, const float* in, int64_t in_stride,
                         int64_t in_step, float* out, int64_t out_stride, int64_t out_step) {
  const Range range = part(static_cast<int64_t>(matrices.size()));
  for (int64_t i = range.begin; i < range.end; ++i) {
    const PackedMatrix& matrix = matrices[i];
    for (int first = 0; first < rows(); first += kPrivateRows) {
      const RowsView x{in + first * in_stride + i * in_step, in_stride, matrix.columns};
      const Tiles tiles = own_tiles(x, std::min(kPrivateRows, rows() - first), {&matrix});
      multiply_blocks(tiles, matrix, {0, matrix.blocks()}, out + first * out_stride + i * out_step,
                      out_stride);
    }
  }
}

void Pass::multiply_each_transposed(std::span<const PackedMatrix> matrices, const float* in,
                                    int64_t in_stride, int64_t in_step, float* out,
                                    int64_t out_stride, int64_t out_step) {
  const Range range = part(static_cast<int64_t>(matrices.size()));
  for (int64_t i = range.begin; i < range.end; ++i) {
    const PackedMatrix& matrix = matrices[i];
    kernels().matmul_transposed[static_cast<int>(matrix.encoding)](
        {.weights = matrix.data,
         .block_bytes = matrix.block_bytes(),
         .groups = matrix.groups,
         .inputs = matrix.rows,
         .outputs = matrix.columns,
         .rows = rows(),
         .x = in + i * in_step,
         .x_stride = in_stride,
         .out = out + i * out_step,
         .out_stride = out_stride,
         .panel = reinterpret_cast<float*>(own().panel)});
  }
}

Pass::Branch Pass::branch(const std::vector<float>& out_norm) {
  const bool direct = slice().alone() && out_norm.empty();
  if (direct) return {x(), true};
  return {activations().branch + int64_t{rows_.first_row} * spec().hidden, false};
}

void Pass::finish(const Branch& branch, const std::vector<float>& out_norm) {
  if (branch.add) return;
  const size_t count = static_cast<size_t>(rows()) * spec().hidden;
  if (rows_.overlaps) {
    due_ = {branch.out, &out_norm};
    if (worker() == 0) due_.sum = context_.sums->start({branch.out, count});
  } else if (!slice().alone() && out_norm.empty() && rows() <= kTileRows) {
    // Who sums few rows adds them to x meanwhile, for less than a barrier costs.
    if (worker() == 0) context_.sums->make_onto({branch.out, count}, {x(), count});
    barrier();
  } else {
    all_reduce(branch.out, static_cast<int64_t>(count));
    add_to_x(branch.out, out_norm);
  }
}

void Pass::settle() {
  if (due_.branch == nullptr) return;
  if (worker() == 0) context_.sums->wait(due_.sum);
  barrier();
  add_to_x(due_.branch, *due_.out_norm);
  due_ = {};
}

void Pass::add_to_x(const float* branch, const std::vector<float>& out_norm) {
  const int64_t width = spec().hidden;
  const Range range = part(rows());
  for (int64_t r = range.begin; r < range.end; ++r) {
    const float* y = branch + r * width;
    if (!out_norm.empty()) {
      kernels().rms_norm(y, out_norm.data(), width, spec().norm_epsilon, own().staging);
      y = own().staging;
    }
    kernels().add(x() + r * width, y, width);
  }
  barrier();
}

// Dealt out as attention's tasks are.
template <class Body>
void Pass::for_each_head_group(Body body) {
  const int64_t total = int64_t{rows()} * spec().kv_heads;
  for (int64_t i = worker(); i < total; i += workers()) {
    body(i / spec().kv_heads, static_cast<int>(i % spec().kv_heads));
  }
}

void Pass::norm_heads(const std::vector<float>& q_norm, const std::vector<float>& k_norm) {
  const int d = spec().head_dim;
  const auto norm = [&](float* head, const std::vector<float>& weight) {
    kernels().rms_norm(head, weight.data(), d, spec().norm_epsilon, head);
  };
  for_each_head_group([&](int64_t row, int kv_head) {
    norm(activations().k + (row * spec().kv_heads + kv_head) * d, k_norm);
    float* q = activations().q + row * spec().heads * d;
    const Range queries = slice().queries_of(kv_head);
    for (int64_t h = queries.begin; h < queries.end; ++h) norm(q + h * d, q_norm);
  });
}

namespace {

// In an order that does not depend on the machine.
float sum_of_squares(const float* x, int64_t n) {
  constexpr int kLanes = 16;
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += x[i + lane] * x[i + lane];
  }
  for (; i < n; ++i) sums[i % kLanes] += x[i] * x[i];
  float sum = 0;
  for (const float lane : sums) sum += lane;
  return sum;
}

void scale_by(float* x, const std::vector<float>& weight, float scale) {
  for (size_t i = 0; i < weight.size(); ++i) x[i] *= scale * weight[i];
}

}  // namespace

void Pass::norm_whole(const std::vector<float>& q_norm, const std::vector<float>& k_norm) {
  Activations& a = activations();
  const int64_t d = spec().head_dim;
  const auto queries = static_cast<int64_t>(q_norm.size());
  const auto keys = static_cast<int64_t>(k_norm.size());
  const Range range = part(rows());
  for (int64_t r = range.begin; r < range.end; ++r) {
    float* squares = a.squares + 2 * r;
    squares[0] = sum_of_squares(a.q + r * queries, queries);
    squares[1] = 0;
    for (int head = 0; head < spec().kv_heads; ++head) {
      if (slice().owns(head)) squares[1] += sum_of_squares(a.k + r * keys + head * d, d);
    }
  }
  barrier();
  if (!slice().alone()) {
    if (worker() == 0) context_.sums->make_exactly({a.squares, static_cast<size_t>(2 * rows())});
    barrier();
  }
  const auto scale = [&](float squares, int heads) {
    return 1 / std::sqrt(squares / static_cast<float>(heads * d) + spec().norm_epsilon);
  };
  for (int64_t r = range.begin; r < range.end; ++r) {
    scale_by(a.q + r * queries, q_norm, scale(a.squares[2 * r], context_.model->heads));
    scale_by(a.k + r * keys, k_norm, scale(a.squares[2 * r + 1], context_.model->kv_heads));
  }
  barrier();
}

int Pass::linear_index(int layer) const {
  int index = 0;
  for (int i = 0; i < layer; ++i) index += spec().linear(context_.first_layer + i) ? 1 : 0;
  return index;
}

void Pass::rotate(int64_t row, int layer, float* x) {
  const bool local = spec().local_rope && slides(layer);
  const RopeSpec& rope = local ? *spec().local_rope : spec().rope;
  const Activations::Angles& angles = local ? activations().local_angles : activations().angles;
  const int64_t at = (rows_.first_row + row) * rope.dimensions / 2;
  const auto kernel = rope.interleaved ? kernels().rope_interleaved : kernels().rope_half;
  kernel(x, angles.cosines + at, angles.sines + at, rope.dimensions);
}

void Pass::rotate_heads(int layer) {
  const int64_t d = spec().head_dim;
  for_each_head_group([&](int64_t row, int kv_head) {
    rotate(row, layer, activations().k + (row * spec().kv_heads + kv_head) * d);
    float* q = activations().q + row * spec().heads * d;
    const Range queries = slice().queries_of(kv_head);
    for (int64_t h = queries.begin; h < queries.end; ++h) rotate(row, layer, q + h * d);
  });
}

void Pass::store(int64_t row, int layer, int head, const float* key, const float* value) {
  const auto segment =
      std::upper_bound(rows_.segments.begin(), rows_.segments.end(), row,
                       [](int64_t r, const Segment& s) { return r < s.first_row + s.rows; });
  const int position = segment->position + static_cast<int>(row) - segment->first_row;
  const KvCache& kv = *context_.kv;
  kernels().attention->store[static_cast<int>(kv.shape().type)](
      {.page = kv.page(layer, head, segment->slot, position),
       .token = position % kernels::kPageTokens,
       .head = kv.shape().head,
       .key = key,
       .value = value});
}

void Pass::store_keys_and_values(int layer) {
  for_each_head_group([&](int64_t row, int kv_head) {
    const int64_t at = row * spec().kv_heads + kv_head;
    store(row, layer, kv_head, activations().k + at * spec().head_dim,
          activations().v + at * spec().value_dim);
  });
}

void Pass::activate(float* gate, const float* up, int64_t row_count, int64_t width, int64_t begin,
                    int64_t end) {
  const auto kernel = spec().activation == Activation::kSilu       ? kernels().silu_mul
                      : spec().activation == Activation::kGeluTanh ? kernels().gelu_mul
                                                                   : kernels().swiglu_oss;
  if (begin >= end) return;
  for (int64_t r = 0; r < row_count; ++r) {
    kernel(gate + r * width + begin, up + r * width + begin, end - begin);
  }
}

}  // namespace hearth::engine
