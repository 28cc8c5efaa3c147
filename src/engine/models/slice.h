// What a rank of a team holds of each layer: a pure function of the model, the encodings of its
// matrices, and the ranks' shares, so that every rank knows what is whose.
//
// Projections are cut by their outputs (query heads, columns of feed-forward layers, heads of delta
// nets), and the matrices that bring these together by their inputs, so that a layer's halves end
// with one sum over the team each. Embedding and head are cut by vocabulary. Norms, routers, and
// the keys and values that several ranks' queries read are on all of these ranks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/model_spec.h"
#include "engine/shard.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

// The matrices that are cut by their inputs.
enum class Joint { kAttention, kFeedForward, kExperts, kSharedExperts, kDeltaNet };

// At multiples of how many columns each of them may be cut, in all layers.
struct ColumnUnits {
  std::array<int64_t, 5> columns = {1, 1, 1, 1, 1};

  int64_t& operator[](Joint joint) { return columns[static_cast<size_t>(joint)]; }
  int64_t operator[](Joint joint) const { return columns[static_cast<size_t>(joint)]; }
};

// Deals equal units out to ranks, one at a time to the rank that has the least of them for its
// share then (D'Hondt's method): a team is as fast as its slowest rank, and no way of dealing gives
// the one with most for its share less.
class Dealer {
 public:
  // REQUIRES: shares are positive, and outlive the dealer.
  explicit Dealer(std::span<const double> shares) : shares_(shares), dealt_(shares.size()) {}

  // The consecutive parts of `total`, in whole units but for the last. Units are dealt on from
  // where the last call ended, so that many small things come out even.
  std::vector<Range> deal(int64_t total, int64_t unit);

 private:
  std::span<const double> shares_;
  std::vector<int64_t> dealt_;
};

// Parts of a model; empty where there are more ranks than units.
struct Slice {
  int index = 0;
  int count = 1;
  Range heads;                 // queries
  Range kv_heads;              // that they read
  Range ffn;                   // columns of plain layers
  Range shared_ffn;            // columns of the experts that every token passes through
  std::vector<Range> experts;  // columns of each of the others
  Range key_heads;             // of delta nets: those that the value heads use
  Range value_heads;
  Range vocab;                  // rows of embedding and head, whole blocks of 16
  std::vector<int> vocab_cuts;  // [count + 1], where all ranks' end
  int queries_per_key = 1;

  static Slice whole(const ModelSpec& spec);
  // REQUIRES: the shard's slice is one of its shares', which are positive.
  static Slice create(const ModelSpec& spec, const ColumnUnits& units, const Shard& shard);

  // What one rank of a team adds for all.
  bool first() const { return index == 0; }
  bool alone() const { return count == 1; }
  // Of this rank's queries, those that read its `kv_head`. Ranks that part a group of queries have
  // fewer at their ends.
  Range queries_of(int kv_head) const;
  // Whether no earlier rank holds the KV head.
  bool owns(int kv_head) const;
  // The widest part of an expert.
  int expert_width() const;
};

// The spec with the sizes of the slice, which its layers compute with: heads, kv_heads, ffn, of the
// experts, of the delta net. All else is the model's.
ModelSpec spec_of(const Slice& slice, const ModelSpec& spec);

}  // namespace hearth::engine
