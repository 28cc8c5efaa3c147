// A server-streaming gRPC call that is fed from any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace hearth::daemon {

// Make it with std::make_shared, then `hold` it: it lives until gRPC is done with the call, and as
// long as somebody feeds it. Thread-safe.
template <class Message>
class EventStream : public grpc::ServerWriteReactor<Message> {
 public:
  // Returns what a service method returns.
  static grpc::ServerWriteReactor<Message>* hold(std::shared_ptr<EventStream> stream) {
    EventStream* raw = stream.get();
    raw->self_ = std::move(stream);
    return raw;
  }

  // Sends `message` after those before it. Dropped when the caller has gone.
  void push(Message message) {
    std::unique_lock lock(mutex_);
    if (ending_) return;
    pending_.push_back(std::move(message));
    go_on(std::move(lock));
  }

  // Ends the call once everything was sent. Idempotent.
  void finish() {
    std::unique_lock lock(mutex_);
    ending_ = true;
    go_on(std::move(lock));
  }

  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    pending_.pop_front();
    if (!ok) pending_.clear();
    go_on(std::move(lock));
  }

  // The caller has gone; whoever feeds the stream ends it with finish().
  void OnCancel() override {}

  void OnDone() override { self_.reset(); }

 private:
  // gRPC may answer from within its own calls, so they are made without the lock.
  void go_on(std::unique_lock<std::mutex> lock) {
    if (writing_ || finished_) return;
    if (!pending_.empty()) {
      writing_ = true;
      const Message* next = &pending_.front();  // stays put: only OnWriteDone removes
      lock.unlock();
      this->StartWrite(next);
    } else if (ending_) {
      finished_ = true;
      lock.unlock();
      this->Finish(grpc::Status::OK);
    }
  }

  std::mutex mutex_;
  std::deque<Message> pending_;
  bool writing_ = false;
  bool ending_ = false;    // nothing more will be pushed
  bool finished_ = false;  // gRPC knows
  std::shared_ptr<EventStream> self_;
};

}  // namespace hearth::daemon
