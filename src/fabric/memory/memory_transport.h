// Ranks of one process that talk through a table of queues: the semantic of Transport and Bond with
// nothing underneath, for tests of what stands on Group.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fabric/common/inbox.h"
#include "fabric/rendezvous/bond.h"
#include "fabric/transport.h"

namespace hearth::fabric {

// What the ranks share. Thread-safe.
class MemoryHub {
 public:
  explicit MemoryHub(int size) : size_(size), inboxes_(size * size) {}

  int size() const { return size_; }
  Result<void> send(int from, int to, Tag tag, std::span<const std::byte> data);
  Result<size_t> recv(int to, int from, Tag tag, const Destination& into);
  // `error` holds from `grace` on; the first one stays.
  void fail(const Error& error, std::chrono::milliseconds grace);
  Result<void> status() const;
  Result<void> wait_for_failure(int timeout_ms) const;

 private:
  using Clock = std::chrono::steady_clock;

  // All: REQUIRES mutex_ held.
  Result<void> failure() const;
  void wait(std::unique_lock<std::mutex>* lock) const;
  Inbox& inbox(int from, int to) { return inboxes_[from * size_ + to]; }

  const int size_;
  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable changed_;
  std::vector<Inbox> inboxes_;  // [from * size + to]
  std::optional<Error> error_;
  Clock::time_point fails_at_;
};

class MemoryTransport final : public Transport {
 public:
  MemoryTransport(std::shared_ptr<MemoryHub> hub, int rank) : hub_(std::move(hub)), rank_(rank) {}

  std::string_view name() const override { return "memory"; }
  // The hub connects from the beginning.
  Result<std::string> local_address(std::span<const std::string>,
                                    std::span<const std::string>) override {
    return std::string();
  }
  Result<void> connect(int, std::span<const std::string>, std::span<const std::string>,
                       const std::string&, int) override {
    return {};
  }
  Result<void> send(int peer, Tag tag, std::span<const std::byte> data) override {
    return hub_->send(rank_, peer, tag, data);
  }
  Result<size_t> recv(int peer, Tag tag, Destination into) override {
    return hub_->recv(rank_, peer, tag, into);
  }
  std::string carrier(int) const override { return "memory"; }
  void abort(const std::string& reason) override {
    hub_->fail(Error(Code::kUnavailable, reason), std::chrono::milliseconds(0));
  }

 private:
  const std::shared_ptr<MemoryHub> hub_;
  const int rank_;
};

class MemoryBond final : public Bond {
 public:
  MemoryBond(std::shared_ptr<MemoryHub> hub, int rank) : hub_(std::move(hub)), rank_(rank) {}
  ~MemoryBond() override;

  void guard(Transport*) override {}  // the hub fails both
  void fail(const Error& error) override { hub_->fail(error, std::chrono::milliseconds(0)); }
  Result<void> status() const override { return hub_->status(); }
  Result<void> wait_for_failure(int timeout_ms) const override {
    return hub_->wait_for_failure(timeout_ms);
  }

 private:
  const std::shared_ptr<MemoryHub> hub_;
  const int rank_;
};

}  // namespace hearth::fabric
