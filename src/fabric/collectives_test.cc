#include "fabric/collectives.h"

#include <gtest/gtest.h>

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

TEST_P(CollectivesTest, SumsAreMadeInTheOrderOfRanks) {
  Joined joined = join_all(GetParam(), 5);
  on_every_rank(&joined, [](Group& group) {
    const std::vector<int> ranks =
        group.rank() < 2 ? std::vector<int>{0, 1} : std::vector<int>{2, 3, 4};
    auto team = Collectives::create(group, ranks);
    ASSERT_TRUE(team.ok()) << team.error().message();
    for (const size_t size : {1, 5, 1024, 300'000}) {
      std::vector<float> data(size);
      for (size_t i = 0; i < size; ++i) data[i] = number(group.rank(), i);
      const auto done = (*team)->all_reduce(data);
      ASSERT_TRUE(done.ok()) << done.error().message();
      for (size_t i = 0; i < size; ++i) {
        float sum = number(ranks[0], i);
        for (size_t r = 1; r < ranks.size(); ++r) sum += number(ranks[r], i);
        ASSERT_EQ(data[i], sum) << i << " of " << size;
      }
    }
  });
}

TEST_P(CollectivesTest, GatheredPartsMayDifferInSize) {
  Joined joined = join_all(GetParam(), 3);
  on_every_rank(&joined, [](Group& group) {
    auto team = Collectives::create(group, {0, 1, 2});
    ASSERT_TRUE(team.ok());
    std::vector<std::vector<std::byte>> all;
    for (int r = 0; r < 3; ++r) all.emplace_back(10 * r);
    const std::vector<std::span<std::byte>> parts(all.begin(), all.end());
    const auto own = testing::pattern(10 * group.rank(), group.rank());
    ASSERT_TRUE((*team)->all_gather(own, parts).ok());
    for (int r = 0; r < 3; ++r) EXPECT_TRUE(testing::same(all[r], testing::pattern(10 * r, r)));
  });
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

}  // namespace
}  // namespace hearth::fabric
