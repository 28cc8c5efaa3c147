#include "serve/api/state_events.h"

#include <atomic>

#include "serve/backend.h"
#include "serve/http/sse.h"

namespace hearth::serve {
namespace {

class StateEvents final : public Source {
 public:
  StateEvents(Backend& backend, std::chrono::milliseconds interval,
              std::chrono::milliseconds keep_alive)
      : backend_(backend), interval_(interval), keep_alive_(keep_alive) {}

  void start(std::function<void()> wake) override {
    watch_ = backend_.watch([changed = changed_, wake = std::move(wake)] {
      if (!changed->exchange(true)) wake();
    });
  }

  Next next() override {
    const Clock::time_point now = Clock::now();
    Next next;
    if (now < earliest_) {
      next.again_at = earliest_;
    } else if (changed_->exchange(false)) {
      // Cleared before the state is read: a change while it is read is told, too.
      next.text = sse_event("state", backend_.state_json());
      earliest_ = now + interval_;
    }
    return next;
  }

  std::chrono::milliseconds keep_alive() const override { return keep_alive_; }

 private:
  Backend& backend_;
  const std::chrono::milliseconds interval_;
  const std::chrono::milliseconds keep_alive_;
  const std::shared_ptr<std::atomic<bool>> changed_ = std::make_shared<std::atomic<bool>>(true);
  Clock::time_point earliest_;  // of the next event
  std::shared_ptr<void> watch_;
};

}  // namespace

std::unique_ptr<Source> make_state_events(Backend& backend, std::chrono::milliseconds interval,
                                          std::chrono::milliseconds keep_alive) {
  return std::make_unique<StateEvents>(backend, interval, keep_alive);
}

}  // namespace hearth::serve
