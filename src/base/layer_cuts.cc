#include "base/layer_cuts.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace hearth {
namespace {

// The best way to cut the first layers into the first stages.
struct Best {
  double slowest = 0;  // stage's time
  double squares = 0;  // of all stages' times, summed
  int begin = 0;       // first layer of the last stage

  bool better_than(const std::optional<Best>& other) const {
    if (!other) return true;
    return slowest != other->slowest ? slowest < other->slowest : squares < other->squares;
  }
};
using Row = std::vector<std::optional<Best>>;  // [layers + 1], of the first so many layers

Best extended(const Best& before, double time, int begin) {
  return {std::max(before.slowest, time), before.squares + time * time, begin};
}

}  // namespace

std::vector<int> cut_layers(const LayerCosts& costs, std::span<const StageRank> ranks) {
  const int layers = static_cast<int>(costs.layers.size());
  std::vector<Row> best(ranks.size() + 1, Row(costs.layers.size() + 1));
  best[0][0] = Best{};
  for (size_t stage = 0; stage < ranks.size(); ++stage) {
    const double besides = (stage == 0 ? costs.embedding : 0) +  //
                           (stage + 1 == ranks.size() ? costs.head : 0);
    for (int end = 1; end <= layers; ++end) {
      double cost = besides;
      const int least = end - std::min(end, ranks[stage].layers_max);
      for (int begin = end - 1; begin >= least; --begin) {
        cost += costs.layers[static_cast<size_t>(begin)];
        const auto& before = best[stage][static_cast<size_t>(begin)];
        if (!before) continue;
        auto& found = best[stage + 1][static_cast<size_t>(end)];
        const Best one = extended(*before, cost / ranks[stage].speed, begin);
        if (one.better_than(found)) found = one;
      }
    }
  }
  if (!best.back().back()) return {};
  std::vector<int> cuts(ranks.size() + 1, layers);
  for (size_t stage = ranks.size(); stage > 0; --stage) {
    cuts[stage - 1] = best[stage][static_cast<size_t>(cuts[stage])]->begin;
  }
  return cuts;
}

}  // namespace hearth
