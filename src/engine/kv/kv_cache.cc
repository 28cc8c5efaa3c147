#include "engine/kv/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "base/units.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/numbers.h"

namespace hearth::engine {
namespace {

using kernels::kPageTokens;
using kernels::round_up;

int64_t bytes_of(KvType type) { return type == KvType::kF32 ? 4 : 2; }

int64_t bytes_of_head(const KvShape& shape) {
  // Keys are as wide as a head; values are padded to whole vectors.
  return kPageTokens * (shape.head_dim + round_up(shape.head_dim, 16)) * bytes_of(shape.type);
}

int64_t bytes_of_page(const KvShape& shape) {
  return bytes_of_head(shape) * shape.kv_heads * shape.layers;
}

int pages_for(int64_t tokens) {
  return static_cast<int>(round_up(tokens, kPageTokens) / kPageTokens);
}

// Where key dimension d and value dimension d of token t lie in a page of one head, in numbers.
struct PageLayout {
  int64_t head_dim;
  int64_t width = round_up(head_dim, 16);

  int64_t key_f32(int t, int d) const { return (t / 16 * head_dim + d) * 16 + t % 16; }
  int64_t value_f32(int t, int d) const { return kPageTokens * head_dim + t * width + d; }
  int64_t key_bf16(int t, int d) const {
    return (t / 16 * (head_dim / 2) + d / 2) * 32 + t % 16 * 2 + d % 2;
  }
  int64_t value_bf16(int t, int d) const {
    return kPageTokens * head_dim + (t / 2 * width + d) * 2 + t % 2;
  }
};

}  // namespace

int64_t KvCache::bytes_wanted(const KvShape& shape, int64_t tokens) {
  return pages_for(tokens) * bytes_of_page(shape);
}

Result<KvCache> KvCache::create(const KvShape& shape, int64_t tokens, int slots) {
  const int64_t bytes = bytes_wanted(shape, tokens);
  auto memory = Buffer::allocate(bytes);
  if (!memory.ok())
    return memory.error().context("KV cache of " + std::to_string(tokens) + " tokens");
  return KvCache(shape, pages_for(tokens), slots, std::move(memory).value());
}

KvCache::KvCache(const KvShape& shape, int pages, int slots, Buffer memory)
    : shape_(shape),
      pages_(pages),
      head_bytes_(bytes_of_head(shape)),
      page_bytes_(bytes_of_page(shape)),
      memory_(std::move(memory)),
      sequences_(slots) {
  for (int32_t page = pages; page-- > 0;) free_.push_back(page);
}

Result<void> KvCache::reserve(std::span<const SequenceRows> step) {
  int64_t wanted = 0;  // pages, less those given back
  for (const SequenceRows& rows : step) {
    wanted += pages_for(int64_t{rows.position} + rows.rows);
    wanted -= static_cast<int64_t>(sequences_[rows.slot].pages.size());
  }
  if (wanted > free_pages()) {
    return Error(Code::kResourceExhausted,
                 "the KV cache of " + std::to_string(int64_t{pages_} * kPageTokens) +
                     " tokens is full: " + std::to_string(wanted - free_pages()) +
                     " more pages of " + std::to_string(kPageTokens) + " tokens are needed");
  }
  for (const SequenceRows& rows : step) {  // give back first: others may need these pages
    Sequence& sequence = sequences_[rows.slot];
    sequence.length = rows.position + rows.rows;
    while (sequence.pages.size() > static_cast<size_t>(pages_for(sequence.length))) {
      free_.push_back(sequence.pages.back());
      sequence.pages.pop_back();
    }
  }
  for (const SequenceRows& rows : step) {
    Sequence& sequence = sequences_[rows.slot];
    while (sequence.pages.size() < static_cast<size_t>(pages_for(sequence.length))) {
      sequence.pages.push_back(free_.back());
      free_.pop_back();
    }
  }
  return {};
}

void KvCache::release(int slot) {
  Sequence& sequence = sequences_[slot];
  free_.insert(free_.end(), sequence.pages.rbegin(), sequence.pages.rend());
  sequence = {};
}

int64_t KvCache::head_offset(int layer, int head) const {
  return (int64_t{layer} * shape_.kv_heads + head) * head_bytes_;
}

void KvCache::write(int layer, int head, int slot, int position, const float* key,
                    const float* value) {
  const int64_t page = sequences_[slot].pages[position / kPageTokens];
  std::byte* memory = memory_.data() + head_offset(layer, head) + page * page_bytes_;
  const PageLayout layout{shape_.head_dim};
  const int t = position % kPageTokens;
  if (shape_.type == KvType::kF32) {
    auto* numbers = reinterpret_cast<float*>(memory);
    for (int d = 0; d < shape_.head_dim; ++d) numbers[layout.key_f32(t, d)] = key[d];
    std::memcpy(numbers + layout.value_f32(t, 0), value, sizeof(float) * shape_.head_dim);
    return;
  }
  auto* numbers = reinterpret_cast<uint16_t*>(memory);
  for (int d = 0; d < shape_.head_dim; ++d) {
    numbers[layout.key_bf16(t, d)] = kernels::to_bf16(key[d]);
    numbers[layout.value_bf16(t, d)] = kernels::to_bf16(value[d]);
  }
}

}  // namespace hearth::engine
