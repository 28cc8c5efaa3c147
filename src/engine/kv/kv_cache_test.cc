#include "engine/kv/kv_cache.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace hearth::engine {
namespace {

constexpr KvShape kShape = {.layers = 2, .kv_heads = 2, .head_dim = 8, .type = KvType::kF32};

KvCache cache_of(int64_t tokens, int slots = 4) {
  auto cache = KvCache::create(kShape, tokens, slots);
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
  for (int slot = 0; slot < 3; ++slot) pages.insert(cache.table(slot)[0]);
  EXPECT_EQ(pages.size(), 3u);  // nobody shares
}

TEST(KvCache, WrittenTokensStayWhereTheKernelsLook) {
  KvCache cache = cache_of(64);
  const std::vector<SequenceRows> step = {{.slot = 0, .position = 0, .rows = 40}};
  ASSERT_TRUE(cache.reserve(step).ok());
  const auto number = [](int layer, int head, int t, int d) {
    return static_cast<float>(((layer * 2 + head) * 40 + t) * 8 + d);
  };
  std::vector<float> key(8);
  std::vector<float> value(8);
  for (int layer = 0; layer < 2; ++layer) {
    for (int head = 0; head < 2; ++head) {
      for (int t = 0; t < 40; ++t) {
        for (int d = 0; d < 8; ++d) {
          key[d] = number(layer, head, t, d);
          value[d] = -key[d];
        }
        cache.write(layer, head, 0, t, key.data(), value.data());
      }
    }
  }
  for (int layer = 0; layer < 2; ++layer) {
    for (int head = 0; head < 2; ++head) {
      for (int t = 0; t < 40; ++t) {
        const auto* page = reinterpret_cast<const float*>(
            cache.pool(layer, head) + cache.table(0)[t / 32] * cache.page_bytes());
        for (int d = 0; d < 8; ++d) {
          ASSERT_EQ(page[(t % 32 / 16 * 8 + d) * 16 + t % 16], number(layer, head, t, d));
          ASSERT_EQ(page[32 * 8 + t % 32 * 16 + d], -number(layer, head, t, d));
        }
      }
    }
  }
}

}  // namespace
}  // namespace hearth::engine
