// Between a generator's thread and whoever waits for a request's events: the rules of Generation,
// kept once.
#pragma once

#include <mutex>
#include <utility>
#include <variant>

#include "runtime/generator.h"

namespace hearth::runtime {

// Thread-safe.
class EventSink {
 public:
  explicit EventSink(EventHandler handler) : handler_(std::move(handler)) {}

  // Hands on an event, unless the last one came or the caller has gone.
  void deliver(GenerateEvent event) {
    std::lock_guard lock(mutex_);
    if (done_) return;
    done_ = std::holds_alternative<Finished>(event) || std::holds_alternative<Error>(event);
    handler_(std::move(event));
  }

  // The caller goes. Once this returns the handler is not called any more.
  void leave() {
    std::lock_guard lock(mutex_);
    done_ = true;
  }

  bool done() const {
    std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  mutable std::mutex mutex_;
  const EventHandler handler_;
  bool done_ = false;
};

}  // namespace hearth::runtime
