#include "fabric/memory/memory_transport.h"

#include <fmt/format.h>

#include <cstring>

namespace hearth::fabric {

Result<void> MemoryHub::send(int from, int to, Tag tag, std::span<const std::byte> data) {
  HEARTH_TRY(Message message, Message::of_size(data.size()));
  if (!data.empty()) std::memcpy(message.data.get(), data.data(), data.size());
  std::unique_lock lock(mutex_);
  while (true) {
    HEARTH_RETURN_IF_ERROR(failure());
    if (inbox(from, to).has_room()) break;
    wait(&lock);
  }
  inbox(from, to).add(tag, std::move(message));
  changed_.notify_all();
  return {};
}

Result<size_t> MemoryHub::recv(int to, int from, Tag tag, const Destination& into) {
  std::unique_lock lock(mutex_);
  while (true) {
    HEARTH_RETURN_IF_ERROR(failure());
    if (auto message = inbox(from, to).take(tag)) {
      changed_.notify_all();
      lock.unlock();
      return message->copy_to(into);
    }
    if (!inbox(from, to).has_room()) {
      return Error(
          Code::kResourceExhausted,
          fmt::format("rank {} sent more than {} bytes that nobody received, before the message "
                      "expected now",
                      from, kUnclaimedBytesMax));
    }
    wait(&lock);
  }
}

void MemoryHub::fail(const Error& error, std::chrono::milliseconds grace) {
  std::lock_guard lock(mutex_);
  const auto at = Clock::now() + grace;
  if (error_ && fails_at_ <= at) return;
  error_ = error;
  fails_at_ = at;
  changed_.notify_all();
}

Result<void> MemoryHub::status() const {
  std::lock_guard lock(mutex_);
  return failure();
}

Result<void> MemoryHub::wait_for_failure(int timeout_ms) const {
  std::unique_lock lock(mutex_);
  const auto until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (failure().ok() && Clock::now() < until) {
    changed_.wait_until(lock, error_ ? std::min(fails_at_, until) : until);
  }
  return failure();
}

Result<void> MemoryHub::failure() const {
  if (error_ && Clock::now() >= fails_at_) return *error_;
  return {};
}

void MemoryHub::wait(std::unique_lock<std::mutex>* lock) const {
  if (error_) {
    changed_.wait_until(*lock, fails_at_);
  } else {
    changed_.wait(*lock);
  }
}

MemoryBond::~MemoryBond() {
  hub_->fail(Error(Code::kUnavailable, fmt::format("rank {} left", rank_)),
             std::chrono::milliseconds(kLeaveGraceMs));
}

}  // namespace hearth::fabric
