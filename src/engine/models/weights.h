// A shard's weights, packed, and how they get from the files into memory. Sizes are those of the
// shard's slice (spec_of), except where they are said to be of the model.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model_files.h"
#include "engine/models/slice.h"
#include "engine/rank_model.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/packed_matrix.h"
#include "engine/tensor/thread_pool.h"
#include "engine/tensor/transpose.h"

namespace hearth::engine {

// down (activation(gate h, up h))
struct FeedForwardWeights {
  PackedMatrix gate, up;  // [width, hidden]
  PackedMatrix down;      // [hidden, width]

  int64_t width() const { return gate.rows; }
};

struct MixtureWeights {
  PackedMatrix router;                      // [experts, hidden]
  std::vector<float> router_bias;           // [experts], of the scores
  std::vector<float> choice_bias;           // [experts], of the scores by which experts are chosen
  std::vector<FeedForwardWeights> experts;  // [experts]
  std::vector<float> gate_bias, up_bias;    // [experts, the widest one's width]
  std::vector<float> down_bias;             // [experts, hidden]; the first rank's
  FeedForwardWeights shared;                // for every token
  PackedMatrix shared_gate;                 // [1, hidden]: the shared experts' weight
};

// Gated delta net (DeltaNetSpec).
struct DeltaNetWeights {
  PackedMatrix q, k;                // [key_heads * key_dim, hidden]
  PackedMatrix v, z;                // [value_heads * value_dim, hidden]
  PackedMatrix a, b;                // [value_heads, hidden]
  std::vector<float> convolution;   // [kernel, channels], the oldest input's taps first
  std::vector<float> decay_rate;    // [value_heads]
  std::vector<float> decay_offset;  // [value_heads], of a
  std::vector<float> norm;          // [value_dim]
  PackedMatrix out;                 // [hidden, value_heads * value_dim]
};

// One decoder layer. What an architecture does not have stays empty.
struct LayerWeights {
  std::vector<float> attention_norm;                  // [hidden]
  PackedMatrix q;                                     // [heads * head_dim, hidden]
  PackedMatrix k;                                     // [kv_heads * head_dim, hidden]
  PackedMatrix v;                                     // [kv_heads * value_dim, hidden]
  std::vector<float> q_bias, k_bias, v_bias, o_bias;  // one per row of q, k, v, o (first rank)
  std::vector<float> q_norm, k_norm;                  // [head_dim], or one per row of q, k
  std::vector<float> sinks;                           // [heads]
  PackedMatrix gate;                                  // [heads * value_dim, hidden]
  PackedMatrix o;                                     // [hidden, heads * value_dim]
  std::vector<float> attention_out_norm;              // [hidden]

  // Latent attention: the query is q (norm (q_down h)), or q h without q_down.
  PackedMatrix q_down;                        // [query_rank, hidden]
  std::vector<float> q_down_norm;             // [query_rank]
  PackedMatrix kv_down;                       // [latent_dim + rotary_dim, hidden]
  std::vector<float> latent_norm;             // [latent_dim]
  std::vector<PackedMatrix> keys_to_latent;   // [heads] of [latent_dim, nope_dim], or
  std::vector<PackedMatrix> latent_to_keys;   // [heads] of [nope_dim, latent_dim]: the transposed
  std::vector<PackedMatrix> latent_to_value;  // [heads] of [value_dim, latent_dim]

  DeltaNetWeights delta;  // of a linear layer, instead of attention

  std::vector<float> ffn_norm;      // [hidden]
  FeedForwardWeights ffn;           // of a plain layer
  MixtureWeights mixture;           // of a sparse layer
  std::vector<float> ffn_out_norm;  // [hidden]
};

struct Weights {
  Buffer memory;                     // of all matrices
  PackedMatrix embedding;            // [slice's vocab, hidden]; first stage only
  std::vector<LayerWeights> layers;  // of the shard
  std::vector<float> final_norm;     // [hidden]; last stage only
  PackedMatrix head;  // [slice's vocab, hidden]; last stage only; may share `embedding`'s bytes
};

// Collects the tensors of a shard, so that their size is known before memory is taken, then packs
// them. The matrices given to it must stay where they are until pack() returns.
class WeightLoader {
 public:
  WeightLoader(const ModelFiles& files, Slice slice, Quantize quantize = Quantize::kNone)
      : files_(files), slice_(std::move(slice)), quantize_(quantize) {}

  // What callers ask for of matrices that are cut.
  const Slice& slice() const { return slice_; }

  // What is named from now on belongs to this layer, or to ModelTensor::kEmbedding or kHead.
  void begin(int layer) { layer_ = layer; }

  bool has(const std::string& name) const { return files_.has_tensor(name); }
  // Is the tensor stored in blocks? kNotFound if there is none.
  Result<bool> quantised(const std::string& name) const;

  // Errors of all below: kCorrupt naming a tensor that is missing or has another shape, and what
  // was expected.

  // Reads a vector at once; of `rows` x `columns`, a matrix row by row.
  Result<void> vector(const std::string& name, int64_t size, std::vector<float>* out);
  Result<void> rows(const std::string& name, int64_t rows, int64_t columns,
                    std::vector<float>* out);
  // Some of a vector of `size`.
  Result<void> vector_part(const std::string& name, int64_t size, Range own,
                           std::vector<float>* out);
  // Reads `count` numbers in whatever shape.
  Result<void> numbers(const std::string& name, int64_t count, std::vector<float>* out);
  // A norm's weights, plus 1 where the spec says so.
  Result<void> norm(const std::string& name, int64_t size, std::vector<float>* out);
  Result<void> norm_part(const std::string& name, int64_t size, Range own, std::vector<float>* out);
  // Notes a matrix for pack().
  Result<void> matrix(const std::string& name, int64_t rows, int64_t columns, PackedMatrix* out);
  // Notes some rows of a tensor of `rows` x `columns`.
  Result<void> part(const std::string& name, int64_t rows, int64_t columns, Choice choice,
                    PackedMatrix* out);
  // Notes the columns `inputs` of some rows of a tensor of `rows` x `columns`, whose column_unit
  // counts in column_units().
  Result<void> joint(Joint joint, const std::string& name, int64_t rows, int64_t columns,
                     Choice choice, Range inputs, PackedMatrix* out);
  // Notes a part of such a tensor transposed: out is [outputs.count, inputs.count] of the tensor's
  // columns `outputs` and rows `inputs`. kUnsupported names an encoding other than floats.
  Result<void> transposed(const std::string& name, int64_t rows, int64_t columns, Choice inputs,
                          Choice outputs, PackedMatrix* out);
  // Where one expert's matrix of `rows` is: in a tensor of its own, PREFIX3.NAME, or among all
  // experts' stacked in PREFIXNAME.
  struct Place {
    std::string name;
    int64_t rows = 0;  // of the tensor
    int64_t first_row = 0;
  };
  Place place_of_expert(const std::string& prefix, const std::string& name, int number, int experts,
                        int64_t rows) const;

  // Where the matrices noted so far may be cut along their inputs.
  const ColumnUnits& column_units() const { return units_; }
  // Bytes that pack() will allocate.
  int64_t bytes() const { return bytes_; }
  // Of the matrices noted so far, the one of most bytes first.
  std::vector<Encoding> encodings() const;
  // All that was named so far.
  const std::vector<ModelTensor>& tensors() const { return tensors_; }
  // Those of them that are matrices for pack(). Valid until something else is named.
  struct Matrix {
    const ModelTensor* tensor;
    const PackedMatrix* packed;
  };
  std::vector<Matrix> matrices() const;

  // Packs all matrices on all threads into one allocation and gives the files' pages back as it
  // goes. `progress(done, total)` after each layer. kResourceExhausted if there is no memory.
  Result<Buffer> pack(ThreadPool& pool, const std::function<void(int, int)>& progress);

 private:
  struct Job {
    TensorView view;
    PackedMatrix* matrix;
    size_t tensor;                     // in tensors()
    std::optional<Choice> transposed;  // the outputs
    int layer;
    bool requantise;
  };

  Result<TensorView> find(const std::string& name, int64_t rows, int64_t columns) const;
  void add_matrix(const std::string& name, const TensorView& view, PackedMatrix* out);
  // Adds `columns` of the view's columns to tensors().
  void note(const std::string& name, const TensorView& view, int64_t columns);
  void add_job(const TensorView& view, std::optional<Choice> transposed, bool requantise,
               PackedMatrix* out);
  // Packs a thread's part of a matrix.
  void pack_part(const Job& job, const Worker& worker) const;
  // Gives back the pages of rows of a view, and of all its scales.
  void release(const TensorView& view, int64_t begin, int64_t end) const;
  int layers() const;

  const ModelFiles& files_;
  const Slice slice_;
  const Quantize quantize_;
  ColumnUnits units_;
  int layer_ = 0;
  std::vector<Job> jobs_;
  std::vector<ModelTensor> tensors_;
  int64_t bytes_ = 0;
};

}  // namespace hearth::engine
