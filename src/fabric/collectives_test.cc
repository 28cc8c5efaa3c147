#include "fabric/collectives.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>

#include "fabric/group_testing.h"

namespace hearth::fabric {
namespace {

using testing::join_all;
using testing::Joined;
using testing::on_every_rank;
using testing::Way;
using testing::WayScope;

class CollectivesTest : public ::testing::TestWithParam<Way> {
 protected:
  WayScope scope_{GetParam()};
};

// A number whose sums depend on the order of addition.
float number(int rank, size_t i) {
  return static_cast<float>(i % 7 + 1) * (rank % 2 == 0 ? 1e7F : 0.3F) + static_cast<float>(rank);
}

// Around what makes a block of a wire's precision, a piece, and a window of three or five slices.
constexpr size_t kSizes[] = {1,      5,      31,     32,     33,      1024,    16'383,  16'384,
                             16'385, 32'767, 32'768, 32'769, 98'304,  98'305,  163'841, 300'000,
                             0,      2,      65'536, 65'537, 100'001, 163'840, 7};

std::vector<int> all_of(const Group& group) {
  std::vector<int> ranks(group.size());
  for (int rank = 0; rank < group.size(); ++rank) ranks[rank] = rank;
  return ranks;
}

// Sums of all sizes of number(rank, i), to the bit.
void expect_sums(Collectives& team, const std::function<float(size_t)>& expected) {
  for (const size_t count : kSizes) {
    std::vector<float> data(count);
    for (size_t i = 0; i < count; ++i) data[i] = number(team.rank(), i);
    const auto done = team.all_reduce(data);
    ASSERT_TRUE(done.ok()) << done.error().message();
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(data[i], expected(i)) << i << " of " << count << " over " << team.size();
    }
  }
}

TEST_P(CollectivesTest, SumsAreMadeInTheOrderOfRanks) {
  for (int size = 2; size <= 5; ++size) {
    Joined joined = join_all(GetParam(), size);
    on_every_rank(&joined, [&](Group& group) {
      auto team = Collectives::create(group, all_of(group));
      ASSERT_TRUE(team.ok()) << team.error().message();
      expect_sums(**team, [&](size_t i) {
        float sum = number(0, i);
        for (int rank = 1; rank < size; ++rank) sum += number(rank, i);
        return sum;
      });
    });
  }
}

TEST_P(CollectivesTest, TeamsOfOneGroupDoNotMix) {
  Joined joined = join_all(GetParam(), 5);
  on_every_rank(&joined, [](Group& group) {
    const std::vector<int> ranks =
        group.rank() < 2 ? std::vector<int>{0, 1} : std::vector<int>{2, 3, 4};
    auto team = Collectives::create(group, ranks);
    ASSERT_TRUE(team.ok()) << team.error().message();
    for (const size_t count : {5, 300'000}) {
      std::vector<float> data(count, 1.0F);
      ASSERT_TRUE((*team)->all_reduce(data).ok());
      EXPECT_EQ(data, std::vector<float>(count, static_cast<float>(ranks.size())));
    }
  });
}

TEST_P(CollectivesTest, GatheredPartsMayDifferInSize) {
  Joined joined = join_all(GetParam(), 3);
  on_every_rank(&joined, [](Group& group) {
    auto team = Collectives::create(group, {0, 1, 2});
    ASSERT_TRUE(team.ok());
    for (int round = 0; round < 2; ++round) {
      std::vector<std::vector<std::byte>> all;
      for (int r = 0; r < 3; ++r) all.emplace_back(10 * r);
      const std::vector<std::span<std::byte>> parts(all.begin(), all.end());
      const auto own = testing::pattern(10 * group.rank(), group.rank());
      ASSERT_TRUE((*team)->all_gather(own, parts).ok());
      for (int r = 0; r < 3; ++r) EXPECT_TRUE(testing::same(all[r], testing::pattern(10 * r, r)));
      // Sums in between change nothing, and gatherings nothing for sums.
      std::vector<float> data(100, 1.0F);
      ASSERT_TRUE((*team)->all_reduce(data).ok());
      EXPECT_EQ(data[99], 3.0F);
    }
  });
}

// As a wire of this precision delivers it, at most so far from `value`; `largest` of its block.
float error_max(WirePrecision wire, float value, float largest) {
  return wire == WirePrecision::kBf16 ? std::fabs(value) / 256 : largest / 254 * 1.0001F;
}

// What ranks add where it is rounded: blocks of 32 of different magnitudes.
float value(int rank, size_t i) {
  return std::sin(static_cast<float>(i * 17 + rank * 5)) * static_cast<float>(1 << i / 32 % 8);
}

TEST_P(CollectivesTest, RoundedNumbersErrWithinBoundsAndAlikeOnAllRanks) {
  for (const WirePrecision wire : {WirePrecision::kBf16, WirePrecision::kQ8}) {
    for (int size = 2; size <= 4; ++size) {
      Joined joined = join_all(GetParam(), size);
      std::vector<float> shorter;
      for (const size_t count : {2, 33, 1000, 32'769, 200'000}) {
        std::vector<std::vector<float>> results(size);
        on_every_rank(&joined, [&](Group& group) {
          auto team = Collectives::create(group, all_of(group), {.wire = wire});
          ASSERT_TRUE(team.ok());
          std::vector<float> data(count);
          for (size_t i = 0; i < count; ++i) data[i] = value(group.rank(), i);
          ASSERT_TRUE((*team)->all_reduce(data).ok());
          results[group.rank()] = data;
        });
        for (int rank = 1; rank < size; ++rank) {
          ASSERT_EQ(std::memcmp(results[rank].data(), results[0].data(), count * sizeof(float)), 0);
        }
        bool exact = true;
        for (size_t i = 0; i < count; ++i) {
          float sum = 0, bound = 0;
          for (int rank = 0; rank < size; ++rank) {
            sum += value(rank, i);
            bound += error_max(wire, value(rank, i), static_cast<float>(1 << i / 32 % 8)) + 1e-5F;
          }
          ASSERT_NEAR(results[0][i], sum, bound) << i;
          exact = exact && results[0][i] == sum;
        }
        EXPECT_FALSE(exact) << "nothing was rounded";
        // Neither pieces nor slices show. The last block had other neighbours.
        const size_t blocks = shorter.size() / 32 * 32;
        EXPECT_TRUE(std::equal(shorter.begin(), shorter.begin() + blocks, results[0].begin()));
        shorter = results[0];
      }
    }
  }
}

TEST_P(CollectivesTest, SumsAreAddedToWhatIsThereAsIfAfterwards) {
  for (int size = 1; size <= 3; ++size) {
    Joined joined = join_all(GetParam(), size);
    on_every_rank(&joined, [](Group& group) {
      const WirePrecision wire = group.size() == 2 ? WirePrecision::kF32 : WirePrecision::kBf16;
      auto team = Collectives::create(group, all_of(group), {.wire = wire});
      ASSERT_TRUE(team.ok());
      for (const size_t count : {0, 1, 33, 2048, 16'385, 32'769, 100'001}) {
        std::vector<float> sum(count), data(count), to(count);
        for (size_t i = 0; i < count; ++i) {
          sum[i] = data[i] = value(group.rank(), i);
          to[i] = value(7, i);
        }
        ASSERT_TRUE((*team)->all_reduce(sum).ok());
        ASSERT_TRUE((*team)->all_reduce_onto(data, to).ok());
        for (size_t i = 0; i < count; ++i) {
          ASSERT_EQ(to[i], value(7, i) + sum[i]) << i << " of " << count;
        }
      }
    });
  }
}

TEST_P(CollectivesTest, WhatNoScaleFitsDoesNotLookSound) {
  Joined joined = join_all(GetParam(), 2);
  on_every_rank(&joined, [](Group& group) {
    for (const WirePrecision wire : {WirePrecision::kBf16, WirePrecision::kQ8}) {
      auto team = Collectives::create(group, {0, 1}, {.wire = wire});
      ASSERT_TRUE(team.ok());
      std::vector<float> data(96, 0.0F);
      data[3] = group.rank() == 0 ? NAN : 1.0F;
      data[40] = INFINITY;
      data[70] = 1e-44F;
      ASSERT_TRUE((*team)->all_reduce(data).ok());
      EXPECT_TRUE(std::isnan(data[3]));
      EXPECT_FALSE(std::isfinite(data[40]));
      EXPECT_NEAR(data[70], 0, 1e-43F);
      EXPECT_EQ(data[80], 0.0F);
    }
  });
}

TEST_P(CollectivesTest, AnotherSizeIsCorruptOnEveryRankAndStaysSo) {
  // One message against one, one against many, many against many.
  const std::vector<std::pair<size_t, size_t>> cases = {
      {8, 16}, {5, 100'000}, {200'000, 100'000}, {0, 3}, {32'768, 65'536}};
  for (const auto& [one, other] : cases) {
    for (const WirePrecision wire : {WirePrecision::kF32, WirePrecision::kQ8}) {
      Joined joined = join_all(GetParam(), 3);
      on_every_rank(&joined, [&, one = one, other = other](Group& group) {
        auto team = Collectives::create(group, {0, 1, 2}, {.wire = wire});
        ASSERT_TRUE(team.ok());
        std::vector<float> data(10);
        ASSERT_TRUE((*team)->all_reduce(data).ok());
        data.resize(group.rank() == 1 ? other : one);
        for (int call = 0; call < 2; ++call) {
          const auto done = (*team)->all_reduce(data);
          ASSERT_FALSE(done.ok()) << one << " and " << other;
          EXPECT_EQ(done.error().code(), Code::kCorrupt) << done.error().message();
        }
        EXPECT_TRUE(group.status().ok());
        EXPECT_TRUE(group.barrier().ok());
      });
    }
  }
}

TEST_P(CollectivesTest, AFailureEndsASumThatWaits) {
  Joined joined = join_all(GetParam(), 3);
  on_every_rank(&joined, [](Group& group) {
    auto team = Collectives::create(group, {0, 1, 2});
    ASSERT_TRUE(team.ok());
    std::vector<float> data(1000);
    ASSERT_TRUE((*team)->all_reduce(data).ok());
    if (group.rank() == 2) {
      // Long enough that the others sleep.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return group.fail("the disk is full");
    }
    const auto before = std::chrono::steady_clock::now();
    const auto done = (*team)->all_reduce(data);
    EXPECT_LT(std::chrono::steady_clock::now() - before, testing::kNoticedWithin);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code(), Code::kUnavailable);
    EXPECT_NE(done.error().message().find("failed: the disk is full"), std::string::npos);
    EXPECT_EQ((*team)->all_reduce(data).error().code(), Code::kUnavailable);
  });
}

TEST_P(CollectivesTest, ASleepingRankIsWoken) {
  Joined joined = join_all(GetParam(), 2);
  on_every_rank(&joined, [](Group& group) {
    auto team = Collectives::create(group, {0, 1});
    ASSERT_TRUE(team.ok());
    for (int turn = 0; turn < 20; ++turn) {
      if (turn % 2 == group.rank()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      std::vector<float> data(100'000, 1.0F);
      ASSERT_TRUE((*team)->all_reduce(data).ok());
      ASSERT_EQ(data[99'999], 2.0F);
    }
  });
}

// Many sums of changing sizes, one rank now and then late.
TEST_P(CollectivesTest, SumsFollowEachOther) {
  Joined joined = join_all(GetParam(), 3);
  on_every_rank(&joined, [](Group& group) {
    auto team = Collectives::create(group, {0, 1, 2});
    ASSERT_TRUE(team.ok());
    for (int call = 0; call < 500; ++call) {
      std::vector<float> data(call * 97 % 70'000 + 1, static_cast<float>(call));
      if (call % 50 == group.rank()) std::this_thread::yield();
      ASSERT_TRUE((*team)->all_reduce(data).ok());
      ASSERT_EQ(data.front(), 3.0F * static_cast<float>(call));
      ASSERT_EQ(data.back(), 3.0F * static_cast<float>(call));
    }
  });
}

// A group whose ranks share memory as if they were on these hosts.
class Spread final : public Group {
 public:
  Spread(Group& group, std::vector<int> host_of) : group_(group), host_of_(std::move(host_of)) {}

  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  std::string_view transport() const override { return group_.transport(); }
  bool shares_memory(int rank) const override {
    return rank != group_.rank() && host_of_[rank] == host_of_[group_.rank()];
  }
  Result<void> send(int to, Tag tag, std::span<const std::byte> data) override {
    numbers_sent += tag == kTeamTag && data.size() > 100;
    return group_.send(to, tag, data);
  }
  Result<size_t> recv(int from, Tag tag, std::span<std::byte> data) override {
    return group_.recv(from, tag, data);
  }
  Result<void> recv(int from, Tag tag, std::vector<std::byte>* data) override {
    return group_.recv(from, tag, data);
  }
  Result<void> broadcast(int root, std::span<std::byte> data) override {
    return group_.broadcast(root, data);
  }
  Result<void> barrier() override { return group_.barrier(); }
  void fail(const std::string& reason) override { group_.fail(reason); }
  Result<void> status() const override { return group_.status(); }

  int numbers_sent = 0;

 private:
  Group& group_;
  const std::vector<int> host_of_;
};

const std::vector<std::vector<int>> kSpreads = {{0, 0, 1},      {0, 1, 1},    {0, 0, 1, 1},
                                                {0, 1, 0, 1},   {0, 1, 2, 1}, {0, 0, 1, 1, 1},
                                                {0, 1, 1, 2, 0}};

TEST_P(CollectivesTest, HostsAddTheirPartsFirst) {
  for (const std::vector<int>& host_of : kSpreads) {
    const int size = static_cast<int>(host_of.size());
    Joined joined = join_all(GetParam(), size);
    on_every_rank(&joined, [&](Group& group) {
      Spread spread(group, host_of);
      auto team = Collectives::create(spread, all_of(spread));
      ASSERT_TRUE(team.ok()) << team.error().message();
      expect_sums(**team, [&](size_t i) {
        std::map<int, float> hosts;  // in the order of their first ranks
        for (int rank = 0; rank < size; ++rank) {
          const auto [host, first] = hosts.try_emplace(host_of[rank], number(rank, i));
          if (!first) host->second += number(rank, i);
        }
        float sum = hosts[0];
        for (int host = 1; hosts.contains(host); ++host) sum += hosts[host];
        return sum;
      });
      // Only the first rank of each host sends numbers.
      const bool first =
          std::find(host_of.begin(), host_of.end(), host_of[group.rank()]) - host_of.begin() ==
          group.rank();
      EXPECT_EQ(spread.numbers_sent > 0, first) << group.rank();
    });
  }
}

TEST_P(CollectivesTest, RoundedSumsOfHostsAreAlikeOnAllRanks) {
  for (const WirePrecision wire : {WirePrecision::kBf16, WirePrecision::kQ8}) {
    Joined joined = join_all(GetParam(), 4);
    for (const size_t count : {33, 100'000}) {
      std::vector<std::vector<float>> results(4);
      on_every_rank(&joined, [&](Group& group) {
        Spread spread(group, {0, 0, 1, 1});
        auto team = Collectives::create(spread, all_of(spread), {.wire = wire});
        ASSERT_TRUE(team.ok());
        std::vector<float> data(count);
        for (size_t i = 0; i < count; ++i) data[i] = value(group.rank(), i);
        ASSERT_TRUE((*team)->all_reduce(data).ok());
        results[group.rank()] = data;
      });
      for (int rank = 1; rank < 4; ++rank) {
        ASSERT_EQ(std::memcmp(results[rank].data(), results[0].data(), count * sizeof(float)), 0);
      }
      for (size_t i = 0; i < count; ++i) {
        const float a = value(0, i) + value(1, i), b = value(2, i) + value(3, i);
        const float largest = 2 * static_cast<float>(1 << i / 32 % 8);
        ASSERT_NEAR(results[0][i], a + b,
                    error_max(wire, a, largest) + error_max(wire, b, largest) + 1e-4F)
            << i;
      }
    }
  }
}

TEST_P(CollectivesTest, AnotherSizeOnOneHostIsCorruptOnAllHosts) {
  for (const auto& [one, other] : {std::pair<size_t, size_t>{8, 16}, {5, 100'000}, {100'000, 0}}) {
    for (int odd = 0; odd < 4; ++odd) {
      Joined joined = join_all(GetParam(), 4);
      on_every_rank(&joined, [&, one = one, other = other](Group& group) {
        Spread spread(group, {0, 0, 1, 1});
        auto team = Collectives::create(spread, all_of(spread));
        ASSERT_TRUE(team.ok());
        std::vector<float> data(10);
        ASSERT_TRUE((*team)->all_reduce(data).ok());
        data.resize(group.rank() == odd ? other : one);
        const auto done = (*team)->all_reduce(data);
        ASSERT_FALSE(done.ok()) << one << " and " << other;
        EXPECT_EQ(done.error().code(), Code::kCorrupt) << done.error().message();
        EXPECT_TRUE(group.barrier().ok());
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, CollectivesTest, ::testing::ValuesIn(testing::all_ways()),
                         [](const auto& info) { return info.param.name; });

TEST(Collectives, ATeamHasThisRankAndRanksOfTheGroup) {
  const auto groups = in_memory_groups(2);
  for (const std::vector<int>& ranks : {std::vector<int>{1}, {0, 2}, {1, 0}, {0, 0}, {}}) {
    const auto team = Collectives::create(*groups[0], ranks);
    ASSERT_FALSE(team.ok());
    EXPECT_EQ(team.error().code(), Code::kInvalidArgument);
  }
}

TEST(Collectives, MemoryIsSharedWhereUcxSharesIt) {
  for (const Way& way : testing::all_ways()) {
    WayScope scope(way);
    Joined joined = join_all(way, 2);
    const bool shared = way.name == "shm" || way.name == "ucx";
    EXPECT_EQ(joined.groups[0]->shares_memory(1), shared) << way.name;
    EXPECT_FALSE(joined.groups[0]->shares_memory(0));
  }
}

}  // namespace
}  // namespace hearth::fabric
