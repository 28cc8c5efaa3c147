// A gate counts work in flight: closing it refuses new work and waits until the rest has left.
// Services stop through one, so that nothing is destroyed under a running request.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "base/result.h"

namespace hearth {

// Thread-safe. REQUIRES at destruction: nobody is inside.
class Gate {
 public:
  // Held while inside; leaves when destroyed. Movable.
  class Pass {
   public:
    explicit Pass(Gate* gate) : gate_(gate) {}
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      return *this;
    }
    ~Pass() {
      if (gate_ != nullptr) gate_->leave();
    }

   private:
    Gate* gate_;
  };

  ~Gate() { HEARTH_CHECK(inside_ == 0); }

  // A pass, or nothing once the gate is closed.
  std::optional<Pass> enter() {
    std::lock_guard lock(mutex_);
    if (closed_) return std::nullopt;
    ++inside_;
    return Pass(this);
  }

  // Refuses new entries and blocks until everyone has left. Idempotent.
  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    empty_.wait(lock, [this] { return inside_ == 0; });
  }

  bool closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  void leave() {
    std::lock_guard lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable empty_;
  int inside_ = 0;
  bool closed_ = false;
};

}  // namespace hearth
