// The building blocks that architectures are written in. Every worker runs the same code; a block
// does its own part of the rows, columns or heads. A block that reads what other workers wrote
// needs a barrier() before it, which the architecture's code shows.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/kv/kv_cache.h"
#include "engine/models/activations.h"
#include "engine/models/weights.h"
#include "engine/rank_model.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

// What a pass computes with.
struct PassContext {
  const ModelSpec* spec = nullptr;
  const kernels::Kernels* kernels = nullptr;
  Precision precision = Precision::kDefault;
  std::span<const double> rope_frequencies;  // [head_dim / 2]
  KvCache* kv = nullptr;
  Activations* activations = nullptr;
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
};

// Input of a product, in the layouts that its matrices need.
struct Tiles {
  TileStorage storage;
  int rows = 0;
  int64_t columns = 0;  // padded
};

// One product of several that share their input.
struct Product {
  const PackedMatrix* matrix = nullptr;
  float* out = nullptr;                      // [rows, matrix->rows]
  const std::vector<float>* bias = nullptr;  // [matrix->rows], added to every row
  bool add = false;                          // to what `out` holds
};

class Pass {
 public:
  Pass(const PassContext& context, const PassRows& rows, Worker& worker)
      : context_(context), rows_(rows), worker_(worker) {}

  const ModelSpec& spec() const { return *context_.spec; }
  Activations& activations() { return *context_.activations; }
  int rows() const { return rows_.rows; }
  void barrier() { worker_.barrier(); }

  // Rows of the embedding into x.
  void embed(const PackedMatrix& embedding, std::span<const int32_t> tokens);
  // Copies [rows, columns] numbers.
  void copy(const float* from, float* to, int64_t columns);
  // The rows' rotary angles.
  void prepare_rope();

  // RMSNorm of rows [rows, hidden], ready for products with `matrices`. With `chosen`, of the rows
  // with these numbers only.
  Tiles normed_tiles(const float* x, const std::vector<float>& weight,
                     std::initializer_list<const PackedMatrix*> matrices,
                     std::span<const int32_t> chosen = {});
  // The rows as they are, [rows, columns].
  Tiles tiles(const float* x, int64_t columns, const PackedMatrix& matrix);

  // out[r][n] = sum over k of matrix[n][k] * tiles[r][k], for this worker's part of all columns.
  void multiply(const Tiles& tiles, std::initializer_list<Product> products);

  // Norms, rotates and stores one head group (a KV head and the query heads that read it) at a
  // time; all three give a worker the same groups.
  void norm_heads(const std::vector<float>& q_norm, const std::vector<float>& k_norm);
  void rotate_heads();
  void store_keys_and_values(int layer);

  // attention = softmax(q k^T / sqrt(head_dim)) v, each query over its own and earlier positions.
  void attend(int layer);

  // x += down (silu(gate h) * (up h)) with h = norm(x)
  void feed_forward(const LayerWeights& weights);

 private:
  struct TilePlan;
  Tiles make_tiles(const TilePlan& plan);
  void attend_tile(int layer, const Segment& segment, int kv_head, int first_query);
  // Calls body(row, kv_head) for this worker's part of rows x kv_heads.
  template <class Body>
  void for_each_head_group(Body body);

  const PassContext& context_;
  const PassRows& rows_;
  Worker& worker_;
};

}  // namespace hearth::engine
