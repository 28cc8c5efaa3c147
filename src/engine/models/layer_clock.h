// Measures LayerTimes while a model runs.
#pragma once

#include <chrono>
#include <mutex>
#include <vector>

#include "engine/layer_times.h"
#include "engine/shard.h"

namespace hearth::engine {

//   clock.begin(); embed(); clock.lap(); for (...) { layer(); clock.lap(); } head(); clock.end();
//
// One thread measures; any may ask for times().
class LayerClock {
 public:
  LayerClock(const Shard& shard, int model_layers);

  // A pass over one row begins, and is timed, unless that would make more than about kReadsPerPass
  // readings of the clock a pass: of deep models only some passes are.
  void begin();
  // The embedding, or a layer, is done. Nothing outside of a pass that is timed.
  void lap() {
    if (running_) laps_.push_back(std::chrono::steady_clock::now());
  }
  // The pass is done. REQUIRES: as many laps as the shard has layers and one more, if it is timed.
  void end();

  LayerTimes times() const;

 private:
  static constexpr int kReadsPerPass = 30;
  using TimePoint = std::chrono::steady_clock::time_point;

  size_t parts() const { return static_cast<size_t>(shard_.layers()) + 2; }

  const Shard shard_;
  const bool last_;
  bool running_ = false;
  int passes_ = 0;               // begun since one was timed
  std::vector<TimePoint> laps_;  // of the pass that runs

  mutable std::mutex mutex_;
  int64_t steps_ = 0;
  std::vector<float> seconds_;  // [kLayerTimesSteps, parts()]: what precedes the layers, each, head
};

}  // namespace hearth::engine
