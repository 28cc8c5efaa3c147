#include "engine/kv/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <vector>

namespace hearth::engine {
namespace {

const KvShape kShape = {.layers = {KvLayer::kFull, KvLayer::kFull},
                        .kv_heads = 2,
                        .head = {.key_dim = 8, .value_dim = 4},
                        .type = KvType::kF32};

KvCache cache_of(int64_t tokens, int slots = 4) {
  auto cache = KvCache::create(kShape, tokens, slots, 64);
  EXPECT_TRUE(cache.ok());
  return std::move(cache).value();
}

TEST(KvCache, PagesFollowTheLengthUpAndDown) {
  KvCache cache = cache_of(100);
  EXPECT_EQ(cache.pages(), 4);  // of 32 tokens
  const std::vector<SequenceRows> one = {{.slot = 1, .position = 0, .rows = 33}};
  ASSERT_TRUE(cache.reserve(one).ok());
  EXPECT_EQ(cache.length(1), 33);
  EXPECT_EQ(cache.free_pages(), 2);
  const std::vector<SequenceRows> rewind = {{.slot = 1, .position = 5, .rows = 1}};
  ASSERT_TRUE(cache.reserve(rewind).ok());
  EXPECT_EQ(cache.length(1), 6);
  EXPECT_EQ(cache.free_pages(), 3);
  cache.release(1);
  cache.release(1);
  cache.release(3);
  EXPECT_EQ(cache.length(1), 0);
  EXPECT_EQ(cache.free_pages(), 4);
}

TEST(KvCache, LayersThatKeepNothingTakeNoRoom) {
  KvShape mixed = kShape;
  mixed.layers = {KvLayer::kNone, KvLayer::kFull, KvLayer::kNone, KvLayer::kFull};
  EXPECT_EQ(KvCache::bytes_wanted(mixed, 100, 4, 64), KvCache::bytes_wanted(kShape, 100, 4, 64));
  mixed.layers = {KvLayer::kNone};
  EXPECT_EQ(KvCache::bytes_wanted(mixed, 100, 4, 64), 0);
  auto none = KvCache::create(mixed, 100, 4, 64);
  ASSERT_TRUE(none.ok());
  const std::vector<SequenceRows> step = {{.slot = 1, .position = 0, .rows = 33}};
  ASSERT_TRUE(none->reserve(step).ok());  // lengths are still known
  EXPECT_EQ(none->length(1), 33);
}

TEST(KvCache, ReservationIsAllOrNothing) {
  KvCache cache = cache_of(96);
  const std::vector<SequenceRows> first = {{.slot = 0, .position = 0, .rows = 40}};
  ASSERT_TRUE(cache.reserve(first).ok());
  const std::vector<SequenceRows> second = {{.slot = 1, .position = 0, .rows = 32},
                                            {.slot = 2, .position = 0, .rows = 1}};
  const auto refused = cache.reserve(second);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(cache.length(1), 0);
  EXPECT_EQ(cache.free_pages(), 1);
  // A rewind in the same step makes the room, whatever its place in the step.
  const std::vector<SequenceRows> third = {{.slot = 1, .position = 0, .rows = 32},
                                           {.slot = 2, .position = 0, .rows = 1},
                                           {.slot = 0, .position = 0, .rows = 1}};
  ASSERT_TRUE(cache.reserve(third).ok());
  EXPECT_EQ(cache.free_pages(), 0);
  std::set<int32_t> pages;
  for (int slot = 0; slot < 3; ++slot) pages.insert(cache.table(0, slot)[0]);
  EXPECT_EQ(pages.size(), 3u);  // nobody shares
}

TEST(KvCache, PagesAreWhereTheKernelsLookAndNobodyElseWrites) {
  KvCache cache = cache_of(64);
  const std::vector<SequenceRows> step = {{.slot = 0, .position = 0, .rows = 40}};
  ASSERT_TRUE(cache.reserve(step).ok());
  const int64_t bytes = kernels::kv_head_bytes(kernels::kKvFormats[0], kShape.head);
  EXPECT_EQ(bytes, 32 * (8 + 16) * 4);
  const auto mark = [](int layer, int head, int page) {
    return static_cast<std::byte>((layer * 2 + head) * 2 + page + 1);
  };
  const auto for_each_page = [](const auto& body) {
    for (const int layer : {0, 1}) {
      for (const int head : {0, 1}) {
        for (const int page : {0, 1}) body(layer, head, page);
      }
    }
  };
  for_each_page([&](int layer, int head, int page) {
    std::fill_n(cache.page(layer, head, 0, page * 32 + 7), bytes, mark(layer, head, page));
  });
  for_each_page([&](int layer, int head, int page) {
    const std::byte* at =
        cache.pool(layer, head) + cache.table(layer, 0)[page] * cache.page_bytes(layer);
    EXPECT_EQ(std::count(at, at + bytes, mark(layer, head, page)), bytes);
  });
}

TEST(KvCache, BytesFollowTheType) {
  const auto bytes = [](KvType type, bool shared) {
    KvShape shape = kShape;
    shape.type = type;
    shape.head = {.key_dim = 128, .value_dim = 64, .shared = shared};
    return KvCache::bytes_wanted(shape, 320, 1, 64) / (320 * 2 * 2);  // of a token, head and layer
  };
  EXPECT_EQ(bytes(KvType::kF32, false), 192 * 4);
  EXPECT_EQ(bytes(KvType::kBF16, false), 192 * 2);
  EXPECT_EQ(bytes(KvType::kQ16, false), 192 * 2 + 8);
  EXPECT_EQ(bytes(KvType::kQ8, false), 192 + 8);
  EXPECT_EQ(bytes(KvType::kQ16, true), 128 * 2 + 4);  // the key alone
}

KvShape alternating(int window) {
  KvShape shape = kShape;
  shape.layers = {KvLayer::kWindow, KvLayer::kFull, KvLayer::kWindow};
  shape.window = window;
  return shape;
}

// Extends slot 0 to `end` tokens in passes of 64.
void extend(KvCache& cache, int end) {
  const int start = cache.length(0);
  const std::vector<SequenceRows> step = {{.slot = 0, .position = start, .rows = end - start}};
  ASSERT_TRUE(cache.reserve(step).ok());
  for (int position = start; position < end;) {
    const int rows = std::min(64, end - position);
    cache.begin_pass({.slot = 0, .position = position, .rows = rows});
    cache.end_pass({.slot = 0, .position = position, .rows = rows});
    position += rows;
  }
}

TEST(KvCacheWindow, LongSequencesTakeAFractionOfTheMemory) {
  constexpr int kTokens = 100'000;
  KvShape full = alternating(128);
  full.layers = {KvLayer::kFull, KvLayer::kFull, KvLayer::kFull};
  const int64_t all = KvCache::bytes_wanted(full, kTokens, 4, 64);
  EXPECT_LT(KvCache::bytes_wanted(alternating(128), kTokens, 4, 64), all / 3 + all / 20);
  // A window longer than the sequences costs no more than none.
  EXPECT_EQ(KvCache::bytes_wanted(alternating(200'000), kTokens, 4, 64), all);

  auto cache = KvCache::create(alternating(128), kTokens, 4, 64);
  ASSERT_TRUE(cache.ok());
  extend(*cache, 90'000);
  EXPECT_EQ(cache->length(0), 90'000);
}

TEST(KvCacheWindow, TheWindowsTokensStayInPlace) {
  auto cache = KvCache::create(alternating(40), 1000, 2, 64);
  ASSERT_TRUE(cache.ok());
  extend(*cache, 500);
  // Token 500 sees 461 and later.
  const int32_t* table = cache->table(0, 0);
  std::set<int32_t> pages;
  for (int page = 461 / 32; page <= 499 / 32; ++page) {
    EXPECT_GE(table[page], 0);
    pages.insert(table[page]);
  }
  EXPECT_EQ(pages.size(), 2u);
  EXPECT_EQ(table, cache->table(2, 0));
  EXPECT_NE(table, cache->table(1, 0));
  EXPECT_EQ(table[0], -1);
}

TEST(KvCacheWindow, ARewindReachesAsFarAsTheWindowAllows) {
  auto cache = KvCache::create(alternating(40), 1000, 2, 64);
  ASSERT_TRUE(cache.ok());
  extend(*cache, 30);
  EXPECT_EQ(cache->earliest_position(0), 0);
  extend(*cache, 500);
  EXPECT_LE(cache->earliest_position(0), 500 - 32);
  EXPECT_GT(cache->earliest_position(0), 300);
  // Back to the start: everything is new again.
  const std::vector<SequenceRows> again = {{.slot = 0, .position = 0, .rows = 10}};
  ASSERT_TRUE(cache->reserve(again).ok());
  cache->begin_pass(again[0]);
  EXPECT_GE(cache->table(0, 0)[0], 0);
  EXPECT_EQ(cache->earliest_position(0), 0);
}

TEST(KvCacheWindow, EverySlotCanBeFullAtOnce) {
  constexpr int kSlots = 8;
  auto cache = KvCache::create(alternating(40), kSlots * 320, kSlots, 64);
  ASSERT_TRUE(cache.ok());
  for (int round = 0; round < 40; ++round) {  // eight rows each, in one pass
    std::vector<SequenceRows> step;
    for (int slot = 0; slot < kSlots; ++slot) {
      step.push_back({.slot = slot, .position = round * 8, .rows = 8});
    }
    ASSERT_TRUE(cache->reserve(step).ok());
    for (const SequenceRows& rows : step) cache->begin_pass(rows);
    std::set<int32_t> pages;
    for (int slot = 0; slot < kSlots; ++slot) {
      const int32_t page = cache->table(0, slot)[round * 8 / 32];
      EXPECT_GE(page, 0);
      pages.insert(page);
    }
    EXPECT_EQ(pages.size(), size_t{kSlots});
    for (const SequenceRows& rows : step) cache->end_pass(rows);
  }
  for (int slot = 0; slot < kSlots; ++slot) cache->release(slot);
  EXPECT_EQ(cache->free_pages(), cache->pages());
}

}  // namespace
}  // namespace hearth::engine
