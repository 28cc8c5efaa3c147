#include "engine/kv/kv_cache.h"

#include <algorithm>
#include <string>
#include <utility>

namespace hearth::engine {
namespace {

using kernels::kPageTokens;
using kernels::round_up;

// Tokens that can be taken back from the end of a sequence.
constexpr int kRewindTokens = 32;

int64_t bytes_of_head(const KvShape& shape) {
  return kv_head_bytes(kernels::kKvFormats[static_cast<int>(shape.type)], shape.head);
}

int pages_for(int64_t tokens) {
  return static_cast<int>(round_up(tokens, kPageTokens) / kPageTokens);
}

struct PoolSize {
  int pages = 0;
  int64_t page_bytes = 0;

  int64_t bytes() const { return pages * page_bytes; }
};
struct PoolSizes {
  PoolSize full;
  PoolSize window;
};

PoolSizes pool_sizes(const KvShape& shape, int64_t tokens, int slots, int pass_rows) {
  const auto windows = std::count(shape.layers.begin(), shape.layers.end(), KvLayer::kWindow);
  const auto fulls = std::count(shape.layers.begin(), shape.layers.end(), KvLayer::kFull);
  const int64_t layer_bytes = bytes_of_head(shape) * shape.kv_heads;
  PoolSizes sizes;
  sizes.full = {pages_for(tokens), layer_bytes * fulls};
  if (windows == 0) return sizes;
  // Between passes a sequence holds its window and what can be taken back, which may begin and end
  // inside pages; a pass adds its rows. No sequence holds more than its tokens.
  const int64_t kept = pages_for(int64_t{shape.window} + kRewindTokens) + 2;
  const int64_t bound = slots * (kept + 1) + pages_for(pass_rows);
  sizes.window = {static_cast<int>(std::min<int64_t>(sizes.full.pages, bound)),
                  layer_bytes * windows};
  return sizes;
}

}  // namespace

KvShape kv_shape(const ModelSpec& spec, const LoadOptions& options) {
  KvShape shape{.window = spec.window,
                .kv_heads = spec.kv_heads,
                .head = {.key_dim = spec.head_dim, .value_dim = spec.value_dim},
                .type = options.cached_as()};
  if (spec.latent) {
    shape.kv_heads = 1;
    shape.head = {.key_dim = spec.latent->latent_dim + spec.latent->rotary_dim,
                  .value_dim = spec.latent->latent_dim,
                  .shared = true};
  }
  for (int layer = options.shard.layer_begin; layer < options.shard.layer_end; ++layer) {
    shape.layers.push_back(spec.linear(layer)   ? KvLayer::kNone
                           : spec.slides(layer) ? KvLayer::kWindow
                                                : KvLayer::kFull);
  }
  return shape;
}

Result<PagePool> PagePool::create(int pages, int64_t page_bytes) {
  PagePool pool;
  HEARTH_TRY(pool.memory_, Buffer::allocate(pages * page_bytes));
  pool.pages_ = pages;
  pool.page_bytes_ = page_bytes;
  for (int32_t page = pages; page-- > 0;) pool.free_.push_back(page);
  return pool;
}

int32_t PagePool::take() {
  const int32_t page = free_.back();
  free_.pop_back();
  return page;
}

int64_t KvCache::bytes_wanted(const KvShape& shape, int64_t tokens, int slots, int pass_rows) {
  const PoolSizes sizes = pool_sizes(shape, tokens, slots, pass_rows);
  return sizes.full.bytes() + sizes.window.bytes();
}

Result<KvCache> KvCache::create(const KvShape& shape, int64_t tokens, int slots, int pass_rows) {
  const PoolSizes sizes = pool_sizes(shape, tokens, slots, pass_rows);
  auto full = PagePool::create(sizes.full.pages, sizes.full.page_bytes);
  auto window = PagePool::create(sizes.window.pages, sizes.window.page_bytes);
  for (const auto* pool : {&full, &window}) {
    if (!pool->ok()) {
      return pool->error().context("KV cache of " + std::to_string(tokens) + " tokens");
    }
  }
  return KvCache(shape, *std::move(full), *std::move(window), slots);
}

KvCache::KvCache(KvShape shape, PagePool full, PagePool window, int slots)
    : shape_(std::move(shape)),
      head_bytes_(bytes_of_head(shape_)),
      full_(std::move(full)),
      window_(std::move(window)),
      sequences_(slots) {
  int counts[3] = {0, 0, 0};
  for (const KvLayer layer : shape_.layers) index_.push_back(counts[static_cast<int>(layer)]++);
}

int KvCache::earliest_position(int slot) const {
  const int begin = sequences_[slot].window_begin;
  return begin == 0 ? 0 : begin * kPageTokens + shape_.window - 1;
}

Result<void> KvCache::reserve(std::span<const SequenceRows> step) {
  int64_t wanted = 0;  // pages, less those given back
  for (const SequenceRows& rows : step) {
    wanted += pages_for(int64_t{rows.position} + rows.rows);
    wanted -= static_cast<int64_t>(sequences_[rows.slot].full.size());
  }
  if (wanted > free_pages()) {
    return Error(Code::kResourceExhausted,
                 "the KV cache of " + std::to_string(int64_t{pages()} * kPageTokens) +
                     " tokens is full: " + std::to_string(wanted - free_pages()) +
                     " more pages of " + std::to_string(kPageTokens) + " tokens are needed");
  }
  for (const SequenceRows& rows : step) {  // give back first: others may need these pages
    Sequence& sequence = sequences_[rows.slot];
    sequence.length = rows.position + rows.rows;
    while (sequence.full.size() > static_cast<size_t>(pages_for(sequence.length))) {
      full_.give_back(sequence.full.back());
      sequence.full.pop_back();
    }
    cut_window(sequence, rows.position);
  }
  for (const SequenceRows& rows : step) {
    Sequence& sequence = sequences_[rows.slot];
    while (sequence.full.size() < static_cast<size_t>(pages_for(sequence.length))) {
      sequence.full.push_back(full_.take());
    }
  }
  return {};
}

// Gives back the pages of tokens from `position` on.
void KvCache::cut_window(Sequence& sequence, int position) {
  while (sequence.window.size() > static_cast<size_t>(pages_for(position))) {
    if (sequence.window.back() >= 0) window_.give_back(sequence.window.back());
    sequence.window.pop_back();
  }
  sequence.window_begin = std::min(sequence.window_begin, static_cast<int>(sequence.window.size()));
}

void KvCache::begin_pass(const SequenceRows& rows) {
  if (window_.pages() == 0) return;
  Sequence& sequence = sequences_[rows.slot];
  while (sequence.window.size() < static_cast<size_t>(pages_for(rows.position + rows.rows))) {
    sequence.window.push_back(window_.take());
  }
}

void KvCache::end_pass(const SequenceRows& rows) {
  if (window_.pages() == 0) return;
  Sequence& sequence = sequences_[rows.slot];
  const int keep_from = rows.position + rows.rows - shape_.window + 1 - kRewindTokens;
  for (; (sequence.window_begin + 1) * kPageTokens <= keep_from; ++sequence.window_begin) {
    int32_t& page = sequence.window[sequence.window_begin];
    window_.give_back(page);
    page = -1;
  }
}

void KvCache::release(int slot) {
  Sequence& sequence = sequences_[slot];
  for (auto page = sequence.full.rbegin(); page != sequence.full.rend(); ++page) {
    full_.give_back(*page);
  }
  cut_window(sequence, 0);
  sequence = {};
}

int64_t KvCache::head_offset(int layer, int head) const {
  return (int64_t{index_[layer]} * shape_.kv_heads + head) * head_bytes_;
}

std::byte* KvCache::page(int layer, int head, int slot, int position) const {
  const int32_t number = pages_of(layer, slot)[position / kPageTokens];
  return pool_of(layer).page(number) + head_offset(layer, head);
}

}  // namespace hearth::engine
