#include "engine/tensor/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/relax.h"

namespace hearth::engine {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

// Workers of a pass are soon there. Between passes others may need the core: long enough to span
// the gap between two tokens' passes on one device.
constexpr microseconds kSpinInPass{200};
constexpr microseconds kSpinBetween{50};
// Where there are more threads than cores, the one waited for may need this core to go on.
constexpr microseconds kSpinCrowded{0};
constexpr int kSpinsPerLook = 64;  // at the clock

// The smallest part dealt is a worker's share divided by this.
constexpr int kPartsMin = 16;

// Returns once `counter` differs from `old`.
void wait_for_change(const std::atomic<uint32_t>& counter, uint32_t old, microseconds spin) {
  const auto changed = [&] { return counter.load(std::memory_order_acquire) != old; };
  steady_clock::time_point end{};
  for (int i = 1; !changed(); ++i) {
    relax();
    if (i % kSpinsPerLook != 0) continue;
    const auto now = steady_clock::now();
    if (i == kSpinsPerLook) end = now + spin;
    if (now < end) continue;
    counter.wait(old, std::memory_order_acquire);
  }
}

// Sequentially consistent, so that either the waiter sees the new count before it sleeps or the
// notification sees that it sleeps.
void advance(std::atomic<uint32_t>& counter) {
  counter.fetch_add(1, std::memory_order_seq_cst);
  counter.notify_all();
}

constexpr int kFromEnd = 32;
int64_t from_front(uint64_t taken) { return static_cast<uint32_t>(taken); }
int64_t from_end(uint64_t taken) { return static_cast<int64_t>(taken >> kFromEnd); }
int64_t left_of(const Range& share, uint64_t taken) {
  return share.size() - from_front(taken) - from_end(taken);
}

}  // namespace

Range part_of(int64_t total, int index, int count) {
  return {total * index / count, total * (index + 1) / count};
}

void Worker::barrier() { pool_->meet(count_, std::exchange(deals_, 0)); }

Range Worker::next_part(int deal, int64_t total) const {
  for (int owner = index_;;) {
    const Range part = take(deal, total, owner);
    if (part.size() > 0) return part;
    int64_t most = 0;
    for (int worker = 0; worker < count_; ++worker) {
      const uint64_t taken = pool_->taken(deal, worker).load(std::memory_order_relaxed);
      const int64_t left = left_of(part_of(total, worker, count_), taken);
      if (left > most) owner = worker;
      most = std::max(most, left);
    }
    if (most == 0) return {};
  }
}

// Half of what is left, so that the last parts are small enough for all to end together, but not so
// small that dealing costs more than it saves.
Range Worker::take(int deal, int64_t total, int owner) const {
  const Range share = part_of(total, owner, count_);
  std::atomic<uint64_t>& taken = pool_->taken(deal, owner);
  const bool own = owner == index_;
  uint64_t before = taken.load(std::memory_order_relaxed);
  int64_t size = 0;
  do {
    const int64_t left = left_of(share, before);
    size = std::min(left, std::max({left / 2, share.size() / kPartsMin, int64_t{1}}));
  } while (size > 0 && !taken.compare_exchange_weak(
                           before, before + (static_cast<uint64_t>(size) << (own ? 0 : kFromEnd)),
                           std::memory_order_relaxed));
  if (own) return {share.begin + from_front(before), share.begin + from_front(before) + size};
  return {share.end - from_end(before) - size, share.end - from_end(before)};
}

ThreadPool::ThreadPool(int threads)
    : threads_(threads),
      runs_(static_cast<size_t>(threads)),
      taken_(static_cast<size_t>(threads) * Worker::kDealsMax) {
  std::vector<Core> cores = usable_cores();
  crowded_ = threads > static_cast<int>(cores.size());
  if (threads > 1 && threads == static_cast<int>(cores.size())) cores_ = std::move(cores);
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(int threads) {
  std::unique_ptr<ThreadPool> pool(new ThreadPool(threads));
  try {
    for (int i = 1; i < threads; ++i) {
      pool->others_.emplace_back([raw = pool.get(), i] { raw->serve(i); });
    }
  } catch (const std::system_error& error) {
    return Error(Code::kResourceExhausted, "the system refused thread " +
                                               std::to_string(pool->others_.size() + 2) + " of " +
                                               std::to_string(threads) + ": " + error.what());
  }
  return pool;
}

ThreadPool::~ThreadPool() {
  body_ = nullptr;
  start(static_cast<int>(others_.size()) + 1);
  for (std::thread& thread : others_) thread.join();
}

void ThreadPool::run(const std::function<void(Worker&)>& body, int count) {
  body_ = &body;
  start(count);
  if (!cores_.empty()) move_to(cores_[0]);
  Worker self(this, 0, count_);
  body(self);
  self.barrier();
}

void ThreadPool::start(int count) {
  count_ = count;
  for (int i = 1; i < count; ++i) advance(runs_[i].value);
}

void ThreadPool::serve(int index) {
  if (!cores_.empty()) pin_to(cores_[index]);
  for (uint32_t run = 0;; ++run) {
    wait_for_change(runs_[index].value, run, crowded_ ? kSpinCrowded : kSpinBetween);
    if (body_ == nullptr) return;
    Worker self(this, index, count_);
    (*body_)(self);
    self.barrier();
  }
}

void ThreadPool::meet(int count, int deals) {
  if (count == 1) return;
  const uint32_t generation = generation_.value.load(std::memory_order_relaxed);
  if (arrived_.value.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(count)) {
    arrived_.value.store(0, std::memory_order_relaxed);
    for (int deal = 0; deal < deals; ++deal) {
      for (int i = 0; i < count; ++i) taken(deal, i).store(0, std::memory_order_relaxed);
    }
    advance(generation_.value);
  } else {
    wait_for_change(generation_.value, generation, crowded_ ? kSpinCrowded : kSpinInPass);
  }
}

}  // namespace hearth::engine
