#include "daemon/runner/layer_times_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <vector>

namespace hearth::daemon {
namespace {

engine::LayerTimes times_of(double layer, int64_t steps = engine::kLayerTimesSteps) {
  return {.steps = steps, .layers = {layer, layer}, .embedding = 0.5, .head = 1.5};
}

TEST(LayerTimesWatch, ATenthOfTheWholeIsADifference) {
  EXPECT_FALSE(differs(times_of(1), times_of(1)));
  EXPECT_FALSE(differs(times_of(1), times_of(1.19)));
  EXPECT_TRUE(differs(times_of(1), times_of(1.21)));
  EXPECT_TRUE(differs(times_of(1), times_of(0.79)));
  engine::LayerTimes other = times_of(1);
  other.layers = {1.3, 0.7};
  EXPECT_TRUE(differs(times_of(1), other)) << "layers, not only their sum";
  other.layers = {1};
  EXPECT_TRUE(differs(times_of(1), other));
}

// What is told of times that are read one after another.
class LayerTimesWatchTest : public testing::Test {
 protected:
  std::vector<double> told_of(const std::vector<engine::LayerTimes>& readings) {
    std::mutex mutex;
    std::condition_variable changed;
    size_t read = 0;
    std::vector<double> told;
    const LayerTimesWatch watch(
        [&] {
          std::lock_guard lock(mutex);
          changed.notify_all();
          return readings[std::min(read++, readings.size() - 1)];
        },
        [&](const engine::LayerTimes& times) {
          std::lock_guard lock(mutex);
          told.push_back(times.layers[0]);
        },
        {.first = std::chrono::milliseconds(1), .later = std::chrono::milliseconds(1)});
    std::unique_lock lock(mutex);
    // Once more, so that what was read last has been told.
    changed.wait(lock, [&] { return read > readings.size() + 1; });
    return told;
  }
};

TEST_F(LayerTimesWatchTest, TellsWhenThereAreEnoughStepsAndWhenTheyChange) {
  EXPECT_EQ(told_of({{},
                     times_of(1, 1),
                     times_of(2, 31),
                     times_of(3, 32),
                     times_of(3.1),
                     times_of(4),
                     times_of(4.1),
                     times_of(3)}),
            (std::vector<double>{3, 4, 3}));
}

TEST(LayerTimesWatch, EndsAtOnce) {
  const auto begin = std::chrono::steady_clock::now();
  {
    const LayerTimesWatch watch([] { return engine::LayerTimes(); }, [](const auto&) {});
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
}

}  // namespace
}  // namespace hearth::daemon
