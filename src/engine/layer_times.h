// How long the parts of a rank's shard take for one token, as the model measured it at work.
#pragma once

#include <cstdint>
#include <vector>

namespace hearth::engine {

// Of passes over one row, prompts' last ones among them: for each part the least of the last
// kLayerTimesSteps, as other programs disturb most passes on a busy machine. All in seconds.
struct LayerTimes {
  int64_t steps = 0;           // that were timed; nothing is known after 0
  int layer_begin = 0;         // of the shard, in the model
  std::vector<double> layers;  // [shard's layers], or empty
  double embedding = 0;        // on the first stage
  double head = 0;             // on the last one
};

// Passes that times are the least of, once there were as many.
inline constexpr int kLayerTimesSteps = 32;

}  // namespace hearth::engine
