// The building blocks that architectures are written in. Every worker runs the same code; a block
// does its own part of the rows, columns or heads. A block that reads what other workers wrote
// needs a barrier() before it, which the code that calls it shows.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/kv/kv_cache.h"
#include "engine/kv/recurrent_state.h"
#include "engine/machine/tuning.h"
#include "engine/models/activations.h"
#include "engine/models/sums.h"
#include "engine/models/weights.h"
#include "engine/rank_model.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

// What a pass computes with.
struct PassContext {
  const ModelSpec* model = nullptr;
  const ModelSpec* spec = nullptr;  // of the slice (spec_of)
  const Slice* slice = nullptr;
  int first_layer = 0;  // of the shard, in the model
  const kernels::Kernels* kernels = nullptr;
  const kernels::SlabKernels* slabs = nullptr;  // where there are some
  const Tuning* tuning = nullptr;
  Precision precision = Precision::kDefault;
  std::span<const double> rope_frequencies;        // [rope.dimensions / 2]
  std::span<const double> local_rope_frequencies;  // of local_rope, or empty
  KvCache* kv = nullptr;
  const RecurrentState* recurrent = nullptr;  // of models with linear layers
  Activations* activations = nullptr;
  Sums* sums = nullptr;  // of slices: over those who hold the others
};

// Rows of one sequence in a pass.
struct Segment {
  int slot = 0;
  int position = 0;
  int rows = 0;
  int first_row = 0;  // in the pass
};

// At most kPassRowsMax rows of a step.
struct PassRows {
  std::vector<Segment> segments;
  int rows = 0;
  int first_row = 0;  // among those whose x and angles the activations hold
  // Sums of what these rows gave are made while others compute.
  bool overlaps = false;
};

// The rows as two passes that take turns, the second after the first in every half of a layer.
std::vector<PassRows> in_two(const PassRows& rows);

// The forms in which rows of activations meet matrices.
struct Forms {
  bool floats = false;
  bool quantised = false;
  bool slabs = false;
};

// Input of a product, in the forms that its matrices need.
struct Tiles {
  TileStorage storage;
  int rows = 0;
  int64_t columns = 0;  // padded
};

// One product of several that share their input.
struct Product {
  const PackedMatrix* matrix = nullptr;
  float* out = nullptr;                      // [rows, matrix->rows]
  const std::vector<float>* bias = nullptr;  // [matrix->rows], added to every row; may be empty
  bool add = false;                          // to what `out` holds
};

// Rows of numbers, `stride` from one to the next. With `chosen`, of those with these numbers.
struct RowsView {
  const float* data = nullptr;
  int64_t stride = 0;
  int64_t columns = 0;
  const int32_t* chosen = nullptr;

  const float* row(int64_t i) const { return data + (chosen == nullptr ? i : chosen[i]) * stride; }
};

// What attends to the cache: queries [rows, heads * key_dim], with the dimensions of its shape.
struct Attention {
  const float* queries = nullptr;
  float* out = nullptr;                       // [rows, heads * value_dim]
  const std::vector<float>* sinks = nullptr;  // [heads], or empty
  const float* gates =
      nullptr;  // [rows, heads * value_dim], or null: a sigmoid that multiplies out
};

class Pass {
 public:
  Pass(const PassContext& context, const PassRows& rows, Worker& worker)
      : context_(context), rows_(rows), worker_(worker) {}

  const ModelSpec& spec() const { return *context_.spec; }
  const Slice& slice() const { return *context_.slice; }
  const kernels::Kernels& kernels() const { return *context_.kernels; }
  Activations& activations() { return *context_.activations; }
  Activations::Private& own() { return activations().threads[worker_.index()]; }
  int rows() const { return rows_.rows; }
  // [rows, hidden], the residual stream.
  float* x() { return activations().x + int64_t{rows_.first_row} * spec().hidden; }
  const std::vector<Segment>& segments() const { return rows_.segments; }
  const RecurrentState& recurrent() const { return *context_.recurrent; }
  // Of the slice's key heads, that of one of its value heads.
  int64_t key_head(int value_head) const {
    const auto number = static_cast<int>(slice().value_heads.begin) + value_head;
    return context_.model->delta->key_head(number) - slice().key_heads.begin;
  }
  // A linear layer's number among the shard's linear layers.
  int linear_index(int layer) const;
  // This worker's part of [0, total), and of all.
  Range part(int64_t total) const { return worker_.part(total); }
  // Calls body(Range) for this worker's parts of [0, total), dealt out as workers ask for more.
  template <class Body>
  void deal(int64_t total, Body body) {
    worker_.deal(total, body);
  }
  int workers() const { return worker_.count(); }
  int worker() const { return worker_.index(); }
  void barrier() { worker_.barrier(); }

  // Sums `count` numbers over the team. REQUIRES: a barrier before it. Ends with one.
  void all_reduce(float* data, int64_t count);

  // Rows of the embedding into x; zeros for those that are other ranks'.
  void embed(const PackedMatrix& embedding, std::span<const int32_t> tokens);
  // Copies [rows, columns] numbers.
  void copy(const float* from, float* to, int64_t columns);
  // The rows' rotary angles.
  void prepare_rope();

  // RMSNorm of rows [rows, columns], ready for products with `matrices`. With `chosen`, of the rows
  // with these numbers only.
  Tiles normed_tiles(const float* x, const std::vector<float>& weight, float epsilon,
                     std::initializer_list<const PackedMatrix*> matrices,
                     std::span<const int32_t> chosen = {});
  // The rows as they are, [rows, columns]. Tiles of more than kTileRows rows lie in memory that all
  // workers share: the next ones may be made only after a barrier.
  Tiles tiles(const float* x, int64_t columns, std::initializer_list<const PackedMatrix*> matrices);
  // `rows` <= kPrivateRows rows, prepared by this worker for itself alone.
  Tiles own_tiles(const RowsView& x, int rows, std::initializer_list<const PackedMatrix*> matrices);

  // out[r][n] = sum over k of matrix[n][k] * tiles[r][k], for this worker's part of all columns.
  void multiply(const Tiles& tiles, std::initializer_list<Product> products);
  // The same for the columns of the blocks [blocks.begin, blocks.end). The bias is a pointer here.
  void multiply_blocks(const Tiles& tiles, const PackedMatrix& matrix, Range blocks, float* out,
                       int64_t out_stride, const float* bias = nullptr, bool add = false);
  // Each of `matrices` times its own columns of the rows: matrix i takes those from i * in_step on
  // and gives those from i * out_step on. A worker does whole matrices.
  void multiply_each(std::span<const PackedMatrix> matrices, const float* in, int64_t in_stride,
                     int64_t in_step, float* out, int64_t out_stride, int64_t out_step);
  // The same with each matrix transposed.
  void multiply_each_transposed(std::span<const PackedMatrix> matrices, const float* in,
                                int64_t in_stride, int64_t in_step, float* out, int64_t out_stride,
                                int64_t out_step);

  // What a half of a layer adds to the residual stream: `out` (+)= it, then finish(). That is x
  // itself, if nothing is left to be done with it; else a place where other ranks' parts are added,
  // and which is normed if there is an `out_norm`, before it comes to x.
  struct Branch {
    float* out = nullptr;
    bool add = false;  // to what `out` holds
  };
  Branch branch(const std::vector<float>& out_norm);
  // REQUIRES: a barrier before it. Ends with one, unless `branch` is x. Where rows overlap, x holds
  // the result after settle().
  void finish(const Branch& branch, const std::vector<float>& out_norm);
  // What finish() left to be done. Ends with a barrier, if that is anything.
  void settle();

  // RMSNorm of Q's and K's rows over all heads of the model, in place. Ends with a barrier.
  void norm_whole(const std::vector<float>& q_norm, const std::vector<float>& k_norm);
  // Norms, rotates and stores one head group (a KV head and the query heads that read it) at a
  // time; all three give a worker the same groups.
  void norm_heads(const std::vector<float>& q_norm, const std::vector<float>& k_norm);
  void rotate_heads(int layer);
  void store_keys_and_values(int layer);
  // Rotates `n` numbers of a row by its angles.
  void rotate(int64_t row, int layer, float* x);
  // Whether a worker attends to no other heads than those that it norms, rotates and stores.
  bool attends_own_heads() const;
  // Stores one row's key and value of one head.
  void store(int64_t row, int layer, int head, const float* key, const float* value);

  // softmax(q k^T * attention_scale) v, each query over its own and earlier positions, as far as
  // the layer's window reaches.
  void attend(int layer, const Attention& attention);

  // gate = activation(gate, up) over columns [begin, end) of rows [rows, width].
  void activate(float* gate, const float* up, int64_t rows, int64_t width, int64_t begin,
                int64_t end);

 private:
  struct TilePlan;
  Tiles make_tiles(const TilePlan& plan);
  // The form for a product of so many rows, and those for several matrices.
  Forms form_for(const PackedMatrix& matrix, int rows) const;
  Forms forms_for(std::initializer_list<const PackedMatrix*> matrices, int rows) const;
  void fill_tile(const float* rows, int m, int64_t columns, const Forms& forms, const Tiles& tiles,
                 int first_row);
  void run_kernel(const Tiles& tiles, const PackedMatrix& matrix, Range blocks, float* out,
                  int64_t out_stride, bool add);
  struct AttentionTask;
  bool divides_spans() const;
  Range spans_of(int layer, const Segment& segment) const;
  template <class Body>
  void for_each_attention_task(int layer, bool divide, Body body);
  void attend(int layer, const Attention& attention, const AttentionTask& task);
  void add_spans(int layer, const Attention& attention);
  void apply_gate(const Attention& attention, float* out) const;
  bool slides(int layer) const { return spec().slides(context_.first_layer + layer); }
  // Calls body(row, kv_head) for this worker's part of rows x kv_heads.
  template <class Body>
  void for_each_head_group(Body body);

  void add_to_x(const float* branch, const std::vector<float>& out_norm);

  // What is being summed for x.
  struct Due {
    const float* branch = nullptr;
    const std::vector<float>* out_norm = nullptr;
    int64_t sum = 0;  // Sums::start's number, of the first worker
  };
  Due due_;
  const PassContext& context_;
  const PassRows& rows_;
  Worker& worker_;
};

}  // namespace hearth::engine
