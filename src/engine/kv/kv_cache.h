// Keys and values of every sequence that a rank serves, in pages of 32 tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/rank_model.h"
#include "engine/tensor/buffer.h"

namespace hearth::engine {

enum class KvType { kF32, kBF16 };

struct KvShape {
  int layers = 0;  // of the shard
  int kv_heads = 0;
  int head_dim = 0;
  KvType type = KvType::kBF16;
};

// A page belongs to one sequence and holds 32 of its tokens for all layers and heads of the shard;
// per layer and head it has the layout of kernels::AttentionArgs. Memory is taken when a page is
// first written.
// Not thread-safe, except that write() may run for different heads or tokens at once.
class KvCache {
 public:
  // Room for `tokens` tokens, rounded up to whole pages. kResourceExhausted names the bytes.
  static Result<KvCache> create(const KvShape& shape, int64_t tokens, int slots);

  // Bytes that create() would ask for.
  static int64_t bytes_wanted(const KvShape& shape, int64_t tokens);

  int slots() const { return static_cast<int>(sequences_.size()); }
  int pages() const { return pages_; }
  int free_pages() const { return static_cast<int>(free_.size()); }
  // Tokens that the slot's sequence holds.
  int length(int slot) const { return sequences_[slot].length; }

  // Makes room for all of `step`: each sequence is cut or extended to position + rows tokens.
  // All or nothing: kResourceExhausted says how many pages are missing and nothing has changed.
  // REQUIRES: slots in range and distinct, position <= length(slot).
  Result<void> reserve(std::span<const SequenceRows> step);
  // Frees the slot's pages.
  void release(int slot);

  // Stores one token's key and value [head_dim] of one head.
  // REQUIRES: position < length(slot).
  void write(int layer, int head, int slot, int position, const float* key, const float* value);

  // Where a head's pages are, for kernels::AttentionArgs.
  const std::byte* pool(int layer, int head) const {
    return memory_.data() + head_offset(layer, head);
  }
  const int32_t* table(int slot) const { return sequences_[slot].pages.data(); }
  int64_t page_bytes() const { return page_bytes_; }

 private:
  struct Sequence {
    std::vector<int32_t> pages;
    int length = 0;
  };

  KvCache(const KvShape& shape, int pages, int slots, Buffer memory);

  int64_t head_offset(int layer, int head) const;

  KvShape shape_;
  int pages_ = 0;
  int64_t head_bytes_ = 0;  // keys and values of one page, layer and head
  int64_t page_bytes_ = 0;  // of all layers and heads
  Buffer memory_;
  std::vector<Sequence> sequences_;
  std::vector<int32_t> free_;  // the next to be used last
};

}  // namespace hearth::engine
