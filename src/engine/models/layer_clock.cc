#include "engine/models/layer_clock.h"

#include <algorithm>

#include "base/result.h"

namespace hearth::engine {

LayerClock::LayerClock(const Shard& shard, int model_layers)
    : shard_(shard),
      last_(shard.last(model_layers)),
      passes_(kReadsPerPass),
      seconds_(kLayerTimesSteps * parts()) {
  laps_.reserve(parts() + 1);
}

void LayerClock::begin() {
  // Readings are one more than parts.
  const int64_t readings = static_cast<int64_t>(parts()) + 1;
  running_ = int64_t{++passes_} * kReadsPerPass >= readings;
  if (!running_) return;
  passes_ = 0;
  laps_.clear();
  lap();
}

void LayerClock::end() {
  if (!running_) return;
  lap();
  running_ = false;
  HEARTH_CHECK(laps_.size() == parts() + 1);
  std::lock_guard lock(mutex_);
  float* seconds = seconds_.data() + static_cast<size_t>(steps_++ % kLayerTimesSteps) * parts();
  for (size_t part = 0; part < parts(); ++part) {
    seconds[part] = std::chrono::duration<float>(laps_[part + 1] - laps_[part]).count();
  }
}

LayerTimes LayerClock::times() const {
  std::vector<float> all;
  LayerTimes times{.layer_begin = shard_.layer_begin};
  {
    std::lock_guard lock(mutex_);
    times.steps = steps_;
    all = seconds_;
  }
  if (times.steps == 0) return times;
  const auto steps = static_cast<size_t>(std::min<int64_t>(times.steps, kLayerTimesSteps));
  const auto least = [&](size_t part) {
    float seconds = all[part];
    for (size_t step = 1; step < steps; ++step) {
      seconds = std::min(seconds, all[step * parts() + part]);
    }
    return static_cast<double>(seconds);
  };
  for (size_t part = 1; part + 1 < parts(); ++part) times.layers.push_back(least(part));
  if (shard_.first()) times.embedding = least(0);
  if (last_) times.head = least(parts() - 1);
  return times;
}

}  // namespace hearth::engine
