// Which layers of a model each stage of a pipeline gets. A pure function.
#pragma once

#include <limits>
#include <span>
#include <vector>

namespace hearth {

// What a step costs, in any one unit: seconds, or bytes read. Nothing is negative.
struct LayerCosts {
  std::vector<double> layers;
  double embedding = 0;  // of the first stage besides
  double head = 0;       // of the last stage besides
};

// The rank that holds a stage, or the ranks that share it.
struct StageRank {
  double speed = 1;                                  // cost a second, more than 0
  int layers_max = std::numeric_limits<int>::max();  // that fit its memory
};

// Where stages begin and end: stage i of `ranks` has the layers from cuts[i] up to cuts[i + 1]. A
// pipeline is as fast as its slowest stage, so that one takes as little time as possible; the other
// stages share well what is left. Every stage has a layer at least. Empty when the layers do not
// fit, or are fewer than the stages. Takes time for stages x layers^2.
std::vector<int> cut_layers(const LayerCosts& costs, std::span<const StageRank> ranks);

}  // namespace hearth
