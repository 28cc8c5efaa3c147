#include "daemon/runner/layer_times_watch.h"

#include <cmath>

namespace hearth::daemon {

bool differs(const engine::LayerTimes& told, const engine::LayerTimes& now) {
  if (told.layers.size() != now.layers.size() || told.layer_begin != now.layer_begin) return true;
  double before = told.embedding + told.head;
  double change = std::abs(now.embedding - told.embedding) + std::abs(now.head - told.head);
  for (size_t i = 0; i < told.layers.size(); ++i) {
    before += told.layers[i];
    change += std::abs(now.layers[i] - told.layers[i]);
  }
  return change > before / 10;
}

LayerTimesWatch::LayerTimesWatch(std::function<engine::LayerTimes()> read,
                                 std::function<void(const engine::LayerTimes&)> tell, Pace pace)
    : read_(std::move(read)), tell_(std::move(tell)), pace_(pace), thread_([this] { loop(); }) {}

LayerTimesWatch::~LayerTimesWatch() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void LayerTimesWatch::loop() {
  engine::LayerTimes told;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, told.steps == 0 ? pace_.first : pace_.later,
                         [this] { return stopping_; })) {
    lock.unlock();
    const engine::LayerTimes now = read_();
    if (now.steps >= engine::kLayerTimesSteps && differs(told, now)) {
      tell_(now);
      told = now;
    }
    lock.lock();
  }
}

}  // namespace hearth::daemon
