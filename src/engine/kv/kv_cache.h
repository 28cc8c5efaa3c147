// Keys and values of every sequence that a rank serves, in pages of 32 tokens. Layers that attend
// over a sliding window keep only the pages that their window still reaches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/kernels/kv_layout.h"
#include "engine/rank_model.h"
#include "engine/tensor/buffer.h"

namespace hearth::engine {

enum class KvLayer {
  kFull,
  kWindow,
  kNone  // keeps nothing here
};

struct KvShape {
  std::vector<KvLayer> layers;  // of the shard
  int window = 0;               // tokens that window layers see
  int kv_heads = 0;
  kernels::KvHead head;
  KvType type = KvType::kQ16;
};

// What the shard of `options` keeps of a model.
KvShape kv_shape(const ModelSpec& spec, const LoadOptions& options);

// Pages of the layers of one kind. A page belongs to one sequence and holds 32 of its tokens for
// all those layers; per layer and head it has the layout of kernels/kv_layout.h. Memory is taken
// when a page is first written.
class PagePool {
 public:
  // kResourceExhausted names the bytes.
  static Result<PagePool> create(int pages, int64_t page_bytes);

  int pages() const { return pages_; }
  int free_pages() const { return static_cast<int>(free_.size()); }
  int64_t page_bytes() const { return page_bytes_; }
  std::byte* page(int32_t number) const { return memory_.data() + number * page_bytes_; }

  // REQUIRES: free_pages() > 0.
  int32_t take();
  void give_back(int32_t page) { free_.push_back(page); }

 private:
  int pages_ = 0;
  int64_t page_bytes_ = 0;
  Buffer memory_;
  std::vector<int32_t> free_;  // the next to be used last
};

// Not thread-safe, except that different tokens' and heads' places may be written at once.
class KvCache {
 public:
  // Room for `tokens` tokens, rounded up to whole pages, of which one pass() extends sequences by
  // at most `pass_rows` together. kResourceExhausted names the bytes.
  static Result<KvCache> create(const KvShape& shape, int64_t tokens, int slots, int pass_rows);

  // Bytes that create() would ask for.
  static int64_t bytes_wanted(const KvShape& shape, int64_t tokens, int slots, int pass_rows);

  const KvShape& shape() const { return shape_; }
  int slots() const { return static_cast<int>(sequences_.size()); }
  int pages() const { return full_.pages(); }
  int free_pages() const { return full_.free_pages(); }
  // Tokens that the slot's sequence holds.
  int length(int slot) const { return sequences_[slot].length; }
  // The first position, besides 0, that the sequence can go on from: window layers have forgotten
  // what lies a window before it. The last 32 tokens can always be taken back.
  int earliest_position(int slot) const;

  // Makes room for all of `step`: each sequence is cut or extended to position + rows tokens.
  // All or nothing: kResourceExhausted says how many pages are missing and nothing has changed.
  // REQUIRES: slots in range and distinct, position <= length(slot), and 0 or at least
  // earliest_position(slot).
  Result<void> reserve(std::span<const SequenceRows> step);
  // Before and after the rows of a pass are computed, for the window layers: takes pages for them,
  // and gives back what no window reaches any more. REQUIRES: a part of what was reserved, in
  // order.
  void begin_pass(const SequenceRows& rows);
  void end_pass(const SequenceRows& rows);
  // Frees the slot's pages.
  void release(int slot);

  // The page that holds one token's key and value of one head, which kernels write. REQUIRES:
  // position is in the present pass.
  std::byte* page(int layer, int head, int slot, int position) const;

  // Where a head's pages are, for kernels::AttentionArgs.
  const std::byte* pool(int layer, int head) const {
    return pool_of(layer).page(0) + head_offset(layer, head);
  }
  const int32_t* table(int layer, int slot) const { return pages_of(layer, slot).data(); }
  int64_t page_bytes(int layer) const { return pool_of(layer).page_bytes(); }

 private:
  struct Sequence {
    std::vector<int32_t> full;
    std::vector<int32_t> window;  // -1: given back
    int window_begin = 0;         // pages of `window` that have been given back
    int length = 0;
  };

  KvCache(KvShape shape, PagePool full, PagePool window, int slots);

  bool in_window(int layer) const { return shape_.layers[layer] == KvLayer::kWindow; }
  const PagePool& pool_of(int layer) const { return in_window(layer) ? window_ : full_; }
  const std::vector<int32_t>& pages_of(int layer, int slot) const {
    return in_window(layer) ? sequences_[slot].window : sequences_[slot].full;
  }
  int64_t head_offset(int layer, int head) const;
  void cut_window(Sequence& sequence, int position);

  KvShape shape_;
  int64_t head_bytes_ = 0;  // keys and values of one page, layer and head
  std::vector<int> index_;  // of each layer, among those of its kind
  PagePool full_;           // every sequence has its pages here, even if no layer is kFull
  PagePool window_;
  std::vector<Sequence> sequences_;
};

}  // namespace hearth::engine
