// How a waiting thread passes the time.
#pragma once

#include <chrono>
#include <thread>

namespace hearth::fabric {

// Spins for 100 us, because most answers come within and waking up costs tens of them. Not
// thread-safe.
class Patience {
 public:
  // Where other threads want the processor, the answer may be waiting for just that.
  enum class WhenCrowded {
    kSleep,  // at once: where an arrival wakes this thread cheaply
    kSpin,   // all the same, giving way between two looks: where waking costs more
  };

  explicit Patience(WhenCrowded when_crowded) : when_crowded_(when_crowded) {}

  // A wait begins, or something has moved.
  void renew() { give_up_ = Clock::now() + kSpin; }

  // One round of waiting. True: look again. False: sleep until woken.
  bool spin() {
    const Clock::time_point before = Clock::now();
    if (before >= give_up_ || before < crowded_until_) return false;
    std::this_thread::yield();
    if (when_crowded_ == WhenCrowded::kSpin) return true;
    const Clock::time_point after = Clock::now();
    if (after - before > kCrowdedYield) crowded_until_ = after + kCrowdedFor;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::microseconds kSpin{100};
  // A yield that takes longer has let another thread run.
  static constexpr std::chrono::microseconds kCrowdedYield{30};
  static constexpr std::chrono::milliseconds kCrowdedFor{100};

  WhenCrowded when_crowded_;
  Clock::time_point give_up_{};
  Clock::time_point crowded_until_{};
};

}  // namespace hearth::fabric
