#include "engine/tensor/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>

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

}  // namespace

Range part_of(int64_t total, int index, int count) {
  return {total * index / count, total * (index + 1) / count};
}

void Worker::barrier() {
  deals_ = 0;
  pool_->meet(count_);
}

// Half of an equal share of what is left, so that the last parts are small enough for all to end
// together, but not so small that dealing costs more than it saves.
Range Worker::next_part(std::atomic<int64_t>& dealt, int64_t total) const {
  int64_t begin = dealt.load(std::memory_order_relaxed);
  int64_t size = 0;
  do {
    if (begin >= total) return {};
    size = std::max({(total - begin) / (2 * count_), total / (kPartsMin * count_), int64_t{1}});
    size = std::min(size, total - begin);
  } while (!dealt.compare_exchange_weak(begin, begin + size, std::memory_order_relaxed));
  return {begin, begin + size};
}

ThreadPool::ThreadPool(int threads) : threads_(threads), runs_(static_cast<size_t>(threads)) {
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
  meet(count_);
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
    meet(self.count());
  }
}

void ThreadPool::meet(int count) {
  if (count == 1) return;
  const uint32_t generation = generation_.value.load(std::memory_order_relaxed);
  if (arrived_.value.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(count)) {
    arrived_.value.store(0, std::memory_order_relaxed);
    for (Deal& deal : deals_) deal.dealt.store(0, std::memory_order_relaxed);
    advance(generation_.value);
  } else {
    wait_for_change(generation_.value, generation, crowded_ ? kSpinCrowded : kSpinInPass);
  }
}

}  // namespace hearth::engine
