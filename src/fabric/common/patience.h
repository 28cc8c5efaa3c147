// How a waiting thread passes the time.
#pragma once

#include <chrono>
#include <thread>

#include "base/relax.h"

namespace hearth::fabric {

// Spins for 100 us, because most answers come within and waking up costs tens of them. Where other
// threads want the processor it gives way between two looks: the answer may be waiting for just
// that. Sleeping at once instead would be worse: the system likes to wake a thread on the core of
// the one that wakes it, and ranks that take turns so stay on one core. Not thread-safe.
class Patience {
 public:
  // A wait begins, or something has moved.
  void renew() { renewed_ = true; }

  // One round of waiting. True: look again. False: sleep until woken.
  bool spin() {
    for (int i = 0; i < kRelaxations; ++i) relax();
    const Clock::time_point now = Clock::now();
    if (renewed_) since_ = now;
    renewed_ = false;
    if (now - since_ >= kSpin) return false;
    // Giving way is a call into the system, during which an answer goes unseen.
    if (now - since_ < kAttentive && now >= crowded_until_) return true;
    std::this_thread::yield();
    const Clock::time_point after = Clock::now();
    if (after - now > kCrowdedYield) crowded_until_ = after + kCrowdedFor;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr int kRelaxations = 4;
  static constexpr std::chrono::microseconds kSpin{100};
  static constexpr std::chrono::microseconds kAttentive{20};
  // A yield that takes longer has let another thread run.
  static constexpr std::chrono::microseconds kCrowdedYield{3};
  static constexpr std::chrono::milliseconds kCrowdedFor{10};

  bool renewed_ = true;
  Clock::time_point since_{};
  Clock::time_point crowded_until_{};
};

}  // namespace hearth::fabric
