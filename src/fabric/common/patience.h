// How a waiting thread passes the time.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/relax.h"

namespace hearth::fabric {

// Spins for 100 us, because most answers come within and waking up costs tens of them. Where other
// threads want the processor, the answer may be waiting for just that. Threads that wait themselves
// take little of it, so this one gives way between two looks. One that computes takes a whole slice
// of some milliseconds, which is longer than the answer takes: beside such a one a thread does not
// give way, but looks for a short while and then sleeps until an arrival wakes it. Where that
// while is mostly not enough, it sleeps at once. Sleeping has a price besides: the system likes to
// wake a thread on its waker's core, and two that take turns may stay on one. Not thread-safe.
class Patience {
 public:
  // A wait begins, or something has moved.
  void renew() { renewed_ = true; }

  // One round of waiting. True: look again. False: sleep until woken.
  bool spin() {
    for (int i = 0; i < kRelaxations; ++i) relax();
    const Clock::time_point now = Clock::now();
    const bool begins = renewed_;
    if (begins) since_ = now;
    renewed_ = false;
    Processor& processor = own_processor();
    if (now < processor.busy_until) return processor.look_briefly(begins, now - since_);
    if (now - since_ >= kSpin) return false;
    // Giving way is a call into the system, during which an answer goes unseen.
    if (now - since_ < kAttentive && now >= processor.crowded_until) return true;
    std::this_thread::yield();
    const Clock::time_point after = Clock::now();
    if (after - now > kCrowdedYield) processor.crowded_until = after + kCrowdRemembered;
    if (after - now > kBusyYield) processor.is_busy(after);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr int kRelaxations = 4;
  static constexpr std::chrono::microseconds kSpin{100};
  static constexpr std::chrono::microseconds kAttentive{5};
  static constexpr std::chrono::microseconds kBriefly{30};
  static constexpr int kFailuresRemembered = 8;
  // A yield that takes longer has let another thread run, or one that computes.
  static constexpr std::chrono::microseconds kCrowdedYield{3};
  static constexpr std::chrono::microseconds kBusyYield{2000};
  static constexpr std::chrono::milliseconds kCrowdRemembered{10};
  static constexpr std::chrono::milliseconds kBusyMin{10}, kBusyMax{160};

  // What a thread has learnt of those beside it.
  struct Processor {
    Clock::time_point crowded_until{};
    Clock::time_point busy_until{};
    Clock::duration busy_for{};  // how long that was believed
    int sleeps = 0;              // waits to come in which it is not worth looking

    // Believed for longer where it was so a short while ago.
    void is_busy(Clock::time_point now) {
      const bool again = now - busy_until < kBusyMax;
      busy_for = again ? std::min<Clock::duration>(2 * busy_for, kBusyMax) : kBusyMin;
      busy_until = now + busy_for;
    }
    bool look_briefly(bool begins, Clock::duration waited) {
      if (begins && sleeps > 0) {
        --sleeps;
        return false;
      }
      if (waited < kBriefly) return true;
      sleeps = kFailuresRemembered;
      return false;
    }
  };
  static Processor& own_processor() {
    thread_local Processor processor;
    return processor;
  }

  bool renewed_ = true;
  Clock::time_point since_{};
};

}  // namespace hearth::fabric
