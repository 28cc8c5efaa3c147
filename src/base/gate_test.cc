#include "base/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace hearth {
namespace {

TEST(Gate, CloseWaitsForThoseInsideAndRefusesOthers) {
  Gate gate;
  std::optional<Gate::Pass> pass = gate.enter();
  ASSERT_TRUE(pass.has_value());
  std::atomic<bool> closed = false;
  std::thread closer([&] {
    gate.close();
    closed = true;
  });
  while (!gate.closed()) std::this_thread::yield();
  EXPECT_FALSE(gate.enter().has_value());
  EXPECT_FALSE(closed);
  pass.reset();
  closer.join();
  EXPECT_TRUE(closed);
}

TEST(Gate, APassThatMovedLeavesOnce) {
  Gate gate;
  {
    std::optional<Gate::Pass> first = gate.enter();
    Gate::Pass second = std::move(*first);
    Gate::Pass third = std::move(second);
  }
  gate.close();
  EXPECT_TRUE(gate.closed());
}

}  // namespace
}  // namespace hearth
