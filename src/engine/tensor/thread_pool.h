// The threads of one model. They live as long as it does; a forward pass wakes them once and they
// meet at barriers in between.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/result.h"

namespace hearth::engine {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};

// The `index`-th of `count` nearly equal consecutive parts of [0, total).
Range part_of(int64_t total, int index, int count);

// Cores that this process may run on, SMT siblings counted once; at least 1.
int physical_cores();

class ThreadPool;

// One thread's view of a pass that all threads run together.
class Worker {
 public:
  int index() const { return index_; }
  int count() const;
  // This thread's part of [0, total).
  Range part(int64_t total) const { return part_of(total, index_, count()); }
  // Returns once every worker has called it; writes before it are seen after it by all.
  void barrier();

 private:
  friend class ThreadPool;
  Worker(ThreadPool* pool, int index) : pool_(pool), index_(index) {}

  ThreadPool* pool_;
  int index_;
};

// A waiting thread spins for some microseconds and then sleeps, so that an idle model uses no CPU.
// Not thread-safe: one thread calls run().
class ThreadPool {
 public:
  // REQUIRES: threads >= 1. kResourceExhausted if the system refuses a thread.
  static Result<std::unique_ptr<ThreadPool>> create(int threads);
  ~ThreadPool();

  int threads() const { return threads_; }

  // Runs `body` once on every thread, the calling one included as worker 0, and returns when all
  // have. Every worker must pass the same barriers.
  void run(const std::function<void(Worker&)>& body);

 private:
  friend class Worker;
  explicit ThreadPool(int threads) : threads_(threads) {}
  void serve(int index);
  void meet();

  const int threads_;
  std::vector<std::thread> others_;
  const std::function<void(Worker&)>* body_ = nullptr;  // null: stop
  alignas(64) std::atomic<uint32_t> start_{0};          // counts runs
  alignas(64) std::atomic<uint32_t> generation_{0};     // counts barriers
  alignas(64) std::atomic<int> arrived_{0};             // workers at the present barrier
};

}  // namespace hearth::engine
