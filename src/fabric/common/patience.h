// How a waiting thread passes the time.
#pragma once

#include <chrono>
#include <thread>

#include "base/relax.h"

namespace hearth::fabric {

// Spins for 100 us, because most answers come within and waking up costs tens of them. Where other
// threads want the processor, the answer may be waiting for just that. Threads that wait themselves
// take little of it, so this one gives way between two looks. One that computes takes a whole slice
// of some milliseconds, unless an arrival wakes a sleeper, which goes first. Sleeping has a price
// besides: the system likes to wake a thread on its waker's core, and two that take turns may stay
// on one. Not thread-safe.
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
    if (now - since_ >= kSpin || now < busy_until_) return false;
    // Giving way is a call into the system, during which an answer goes unseen.
    if (now - since_ < kAttentive && now >= crowded_until_) return true;
    std::this_thread::yield();
    const Clock::time_point after = Clock::now();
    if (after - now > kCrowdedYield) crowded_until_ = after + kRemembered;
    if (after - now > kBusyYield) busy_until_ = after + kRemembered;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr int kRelaxations = 4;
  static constexpr std::chrono::microseconds kSpin{100};
  static constexpr std::chrono::microseconds kAttentive{5};
  // A yield that takes longer has let another thread run, or one that computes.
  static constexpr std::chrono::microseconds kCrowdedYield{3};
  static constexpr std::chrono::microseconds kBusyYield{500};
  static constexpr std::chrono::milliseconds kRemembered{10};

  bool renewed_ = true;
  Clock::time_point since_{};
  Clock::time_point crowded_until_{}, busy_until_{};
};

}  // namespace hearth::fabric
