// Tells when a rank's layers are found to take another time than was told before.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/layer_times.h"

namespace hearth::daemon {

// Whether all parts together changed by more than a tenth of what they took.
bool differs(const engine::LayerTimes& told, const engine::LayerTimes& now);

// Looks on a thread of its own, from construction to destruction.
class LayerTimesWatch {
 public:
  struct Pace {
    std::chrono::milliseconds first{1'000};   // until times were told
    std::chrono::milliseconds later{60'000};  // from then on
  };

  // `read` and `tell` are called from the thread. Times are told first when they stand on
  // kLayerTimesSteps steps.
  LayerTimesWatch(std::function<engine::LayerTimes()> read,
                  std::function<void(const engine::LayerTimes&)> tell, Pace pace);
  LayerTimesWatch(std::function<engine::LayerTimes()> read,
                  std::function<void(const engine::LayerTimes&)> tell)
      : LayerTimesWatch(std::move(read), std::move(tell), Pace()) {}
  ~LayerTimesWatch();

 private:
  void loop();

  const std::function<engine::LayerTimes()> read_;
  const std::function<void(const engine::LayerTimes&)> tell_;
  const Pace pace_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::daemon
