#include "base/layer_cuts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hearth {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

LayerCosts equal(int layers, double embedding = 0, double head = 0) {
  return {std::vector<double>(static_cast<size_t>(layers), 1.0), embedding, head};
}

TEST(LayerCuts, SharesAlikeWhatIsAlike) {
  EXPECT_THAT(cut_layers(equal(6), std::vector<StageRank>(1)), ElementsAre(0, 6));
  EXPECT_THAT(cut_layers(equal(6), std::vector<StageRank>(3)), ElementsAre(0, 2, 4, 6));
  EXPECT_THAT(cut_layers(equal(3), std::vector<StageRank>(3)), ElementsAre(0, 1, 2, 3));
}

TEST(LayerCuts, EmbeddingAndHeadCount) {
  EXPECT_THAT(cut_layers(equal(16, 0, 6), std::vector<StageRank>(2)), ElementsAre(0, 11, 16));
  EXPECT_THAT(cut_layers(equal(16, 6, 0), std::vector<StageRank>(2)), ElementsAre(0, 5, 16));
  EXPECT_THAT(cut_layers(equal(4, 0, 100), std::vector<StageRank>(2)), ElementsAre(0, 3, 4))
      << "every stage has a layer";
}

TEST(LayerCuts, LayersMayDiffer) {
  const LayerCosts costs{.layers = {5, 1, 1, 1, 1, 1}};
  EXPECT_THAT(cut_layers(costs, std::vector<StageRank>(2)), ElementsAre(0, 1, 6));
}

TEST(LayerCuts, FasterRanksGetMore) {
  EXPECT_THAT(cut_layers(equal(9), std::vector<StageRank>{{.speed = 2}, {.speed = 1}}),
              ElementsAre(0, 6, 9));
  EXPECT_THAT(cut_layers(equal(9), std::vector<StageRank>{{.speed = 0.1}, {}, {}}),
              ElementsAre(0, 1, 5, 9))
      << "those that are not the slowest share alike too";
}

TEST(LayerCuts, MemoryBoundsAStage) {
  EXPECT_THAT(cut_layers(equal(8), std::vector<StageRank>{{.layers_max = 2}, {}}),
              ElementsAre(0, 2, 8));
  EXPECT_THAT(cut_layers(equal(8), std::vector<StageRank>{{.layers_max = 2}, {.layers_max = 5}}),
              IsEmpty());
  EXPECT_THAT(cut_layers(equal(2), std::vector<StageRank>(3)), IsEmpty());
}

double slowest(const LayerCosts& costs, const std::vector<StageRank>& ranks,
               const std::vector<int>& cuts) {
  double most = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    double cost = (i == 0 ? costs.embedding : 0) + (i + 1 == ranks.size() ? costs.head : 0);
    for (int layer = cuts[i]; layer < cuts[i + 1]; ++layer) {
      cost += costs.layers[static_cast<size_t>(layer)];
    }
    most = std::max(most, cost / ranks[i].speed);
  }
  return most;
}

// Against all ways to cut.
TEST(LayerCuts, NoOtherCutIsFaster) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 300; ++round) {
    LayerCosts costs{.embedding = double(below(20)), .head = double(below(60))};
    for (int i = 3 + below(8); i > 0; --i) costs.layers.push_back(1 + below(10));
    std::vector<StageRank> ranks(3);
    for (StageRank& rank : ranks) rank = {.speed = 1.0 + below(4), .layers_max = 2 + below(9)};
    const int layers = static_cast<int>(costs.layers.size());
    double best = 0;
    for (int a = 1; a < layers; ++a) {
      for (int b = a + 1; b < layers; ++b) {
        if (a > ranks[0].layers_max || b - a > ranks[1].layers_max) continue;
        if (layers - b > ranks[2].layers_max) continue;
        const double time = slowest(costs, ranks, {0, a, b, layers});
        if (best == 0 || time < best) best = time;
      }
    }
    const std::vector<int> cuts = cut_layers(costs, ranks);
    ASSERT_EQ(cuts.empty(), best == 0);
    if (best == 0) continue;
    ASSERT_EQ(cuts.front(), 0);
    ASSERT_EQ(cuts.back(), layers);
    ASSERT_EQ(slowest(costs, ranks, cuts), best);
    for (size_t i = 0; i < ranks.size(); ++i) {
      ASSERT_LT(cuts[i], cuts[i + 1]);
      ASSERT_LE(cuts[i + 1] - cuts[i], ranks[i].layers_max);
    }
  }
}

}  // namespace
}  // namespace hearth
