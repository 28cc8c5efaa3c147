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

void Sums::make_one(const Sum& sum) {
  // Behind what is being made, and otherwise without a change of threads.
  if (made_through(started_)) {
    add(sum);
  } else {
    wait(enqueue(sum));
  }
}

void Sums::add(const Sum& sum) {
  if (!status_.ok()) return;
  status_ = sum.exact        ? add_exactly(sum.data)
            : sum.to.empty() ? team_.all_reduce(sum.data)
                             : team_.all_reduce_onto(sum.data, sum.to);
}

Result<void> Sums::add_exactly(std::span<float> data) {
  const auto ranks = static_cast<size_t>(team_.size());
  parts_.resize(ranks * data.size());
  std::vector<std::span<std::byte>> all;
  for (size_t rank = 0; rank < ranks; ++rank) {
    all.push_back(
        std::as_writable_bytes(std::span(parts_).subspan(rank * data.size(), data.size())));
  }
  HEARTH_RETURN_IF_ERROR(team_.all_gather(std::as_bytes(data), all));
  for (size_t i = 0; i < data.size(); ++i) {
    data[i] = parts_[i];
    for (size_t rank = 1; rank < ranks; ++rank) data[i] += parts_[rank * data.size() + i];
  }
  return {};
}

bool Sums::made_through(int64_t number) {
  std::lock_guard lock(mutex_);
  return made_ >= number;
}

int64_t Sums::enqueue(const Sum& sum) {
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  std::lock_guard lock(mutex_);
  waiting_.push_back(sum);
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
    const Sum sum = waiting_.front();
    lock.unlock();
    add(sum);
    lock.lock();
    waiting_.pop_front();
    ++made_;
    changed_.notify_all();
  }
}

}  // namespace hearth::engine
