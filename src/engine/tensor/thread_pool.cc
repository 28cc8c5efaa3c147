#include "engine/tensor/thread_pool.h"

#include <hwloc.h>

#include <algorithm>
#include <system_error>

namespace hearth::engine {
namespace {

// Long enough to span the gap between two decoded tokens' passes on one device, short enough that
// an idle model does not warm the room.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `counter` differs from `old`.
void wait_for_change(const std::atomic<uint32_t>& counter, uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (counter.load(std::memory_order_acquire) != old) return;
    relax();
  }
  counter.wait(old, std::memory_order_acquire);
}

}  // namespace

Range part_of(int64_t total, int index, int count) {
  return {total * index / count, total * (index + 1) / count};
}

int physical_cores() {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0) return 1;
  hwloc_topology_set_flags(
      topology, HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING | HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
  int cores = 0;
  if (hwloc_topology_load(topology) == 0) {
    cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
  }
  hwloc_topology_destroy(topology);
  return std::max(cores, 1);
}

int Worker::count() const { return pool_->threads(); }
void Worker::barrier() { pool_->meet(); }

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
  start_.fetch_add(1, std::memory_order_release);
  start_.notify_all();
  for (std::thread& thread : others_) thread.join();
}

void ThreadPool::run(const std::function<void(Worker&)>& body) {
  body_ = &body;
  start_.fetch_add(1, std::memory_order_release);
  start_.notify_all();
  Worker self(this, 0);
  body(self);
  meet();
}

void ThreadPool::serve(int index) {
  Worker self(this, index);
  for (uint32_t run = 0;; ++run) {
    wait_for_change(start_, run);
    if (body_ == nullptr) return;
    (*body_)(self);
    meet();
  }
}

void ThreadPool::meet() {
  if (threads_ == 1) return;
  const uint32_t generation = generation_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    generation_.notify_all();
  } else {
    wait_for_change(generation_, generation);
  }
}

}  // namespace hearth::engine
