// A shard's weights, packed, and how they get from the files into memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/packed_matrix.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

// One decoder layer. What an architecture does not have stays empty.
struct LayerWeights {
  std::vector<float> attention_norm;          // [hidden]
  PackedMatrix q;                             // [heads * head_dim, hidden]
  PackedMatrix k, v;                          // [kv_heads * head_dim, hidden]
  std::vector<float> q_bias, k_bias, v_bias;  // one per row of q, k, v
  std::vector<float> q_norm, k_norm;          // [head_dim]
  PackedMatrix o;                             // [hidden, heads * head_dim]
  std::vector<float> ffn_norm;                // [hidden]
  PackedMatrix gate, up;                      // [ffn, hidden]
  PackedMatrix down;                          // [hidden, ffn]
};

struct Weights {
  Buffer memory;                     // of all matrices
  PackedMatrix embedding;            // [vocab, hidden]; first stage only
  std::vector<LayerWeights> layers;  // of the shard
  std::vector<float> final_norm;     // [hidden]; last stage only
  PackedMatrix head;  // [vocab, hidden]; last stage only; may share `embedding`'s bytes
};

// Collects the tensors of a shard, so that their size is known before memory is taken, then packs
// them. The matrices given to matrix() must stay where they are until pack() returns.
class WeightLoader {
 public:
  WeightLoader(const ModelFiles& files, Quantize quantize) : files_(files), quantize_(quantize) {}

  // Errors of both: the files' (kNotFound), and kCorrupt naming a tensor of another shape.

  // Reads a vector at once.
  Result<void> vector(const std::string& name, int64_t size, std::vector<float>* out);
  // Notes a matrix for pack().
  Result<void> matrix(const std::string& name, int64_t rows, int64_t columns, PackedMatrix* out);
  // The matrices noted since the last call make up one layer.
  void end_layer() { layer_ends_.push_back(jobs_.size()); }

  // Bytes that pack() will allocate.
  int64_t bytes() const { return bytes_; }

  // Packs all matrices on all threads into one allocation and gives the files' pages back as it
  // goes. `progress(done, total)` after each layer. kResourceExhausted if there is no memory.
  Result<Buffer> pack(ThreadPool& pool, const std::function<void(int, int)>& progress);

 private:
  struct Job {
    TensorView view;
    PackedMatrix* matrix;
    bool requantise = false;
  };

  Result<TensorView> find(const std::string& name, int64_t rows, int64_t columns) const;

  const ModelFiles& files_;
  const Quantize quantize_;
  std::vector<Job> jobs_;
  std::vector<size_t> layer_ends_;  // jobs done when a layer is
  int64_t bytes_ = 0;
};

}  // namespace hearth::engine
