// What steps cost a model, on whatever ranks it runs: counted from its shapes, not measured.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"

namespace hearth::engine {

struct Work {
  double bytes = 0;          // of packed weights, and of cached keys and values, that must be read
  double multiply_adds = 0;  // of products with weights, and of attention

  Work& operator+=(const Work& other) {
    bytes += other.bytes;
    multiply_adds += other.multiply_adds;
    return *this;
  }
};

// Immutable and thread-safe.
class WorkCount {
 public:
  // Of the whole model, packed and cached as `options` (precision, quantize, kv) say; nothing is
  // read but names and shapes. Errors as of RankModel::load.
  static Result<WorkCount> create(const ModelFiles& files, const LoadOptions& options);

  // Of one pass over `sequences` sequences that hold `position` tokens and get `rows` more each,
  // the last of which gives logits if `logits`. A token takes other experts than the next: how many
  // of them a pass reads is what is to be expected if it takes any with the same probability.
  Work pass(int sequences, int position, int rows, bool logits) const;
  // The parts of it that a layer, and the head where there are logits, have. Embedding a row takes
  // nothing to speak of.
  Work layer(int layer, int sequences, int position, int rows) const;
  Work head(int sequences) const;

  // Whether most multiply-adds are of quantised activations.
  bool quantised() const { return quantised_; }

 private:
  explicit WorkCount(const ModelSpec& spec);
  Work attention(int layer, int position, int rows) const;

  ModelSpec spec_;
  // Bytes of a pass and multiply-adds of a row:
  std::vector<Work> always_;   // [layers], of matrices that every row meets
  std::vector<Work> experts_;  // [layers], of all experts
  Work head_;
  double cached_token_bytes_ = 0;   // in a layer
  double token_multiply_adds_ = 0;  // of a row with a token that it sees, in a layer
  bool quantised_ = false;
};

}  // namespace hearth::engine
