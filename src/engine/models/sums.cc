#include "engine/models/sums.h"

namespace hearth::engine {

Sums::~Sums() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Sums::make(std::span<float> data) {
  // Behind what is being made, and otherwise without a change of threads.
  if (made_through(started_)) {
    if (status_.ok()) status_ = team_.all_reduce(data);
  } else {
    wait(start(data));
  }
}

bool Sums::made_through(int64_t number) {
  std::lock_guard lock(mutex_);
  return made_ >= number;
}

int64_t Sums::start(std::span<float> data) {
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  std::lock_guard lock(mutex_);
  waiting_.push_back(data);
  changed_.notify_all();
  return ++started_;
}

void Sums::wait(int64_t number) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return made_ >= number; });
}

void Sums::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const std::span<float> data = waiting_.front();
    lock.unlock();
    if (status_.ok()) status_ = team_.all_reduce(data);
    lock.lock();
    waiting_.pop_front();
    ++made_;
    changed_.notify_all();
  }
}

}  // namespace hearth::engine
