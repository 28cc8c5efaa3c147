// The threads of one model. They live as long as it does; a forward pass wakes them once and they
// meet at barriers in between.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/result.h"
#include "engine/tensor/cores.h"

namespace hearth::engine {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

// The `index`-th of `count` nearly equal consecutive parts of [0, total).
Range part_of(int64_t total, int index, int count);

class ThreadPool;

// One thread's view of a pass that several threads run together.
class Worker {
 public:
  int index() const { return index_; }
  // Threads that run the pass.
  int count() const { return count_; }
  // This thread's part of [0, total).
  Range part(int64_t total) const { return part_of(total, index_, count_); }
  // Calls body(Range) for parts of [0, total) that together with the other workers' are all of it,
  // so that who is faster does more. Every worker goes through its own equal share in order, which
  // memory likes, and then takes from the ends of what others have left. Every worker must call it,
  // with the same total < 2^32. From the kDealsMax-th time between two barriers on, parts are
  // equal.
  template <class Body>
  void deal(int64_t total, Body body);
  static constexpr int kDealsMax = 8;
  // Returns once every worker of the pass has called it; writes before it are seen after it by all.
  void barrier();

 private:
  friend class ThreadPool;
  Worker(ThreadPool* pool, int index, int count) : pool_(pool), index_(index), count_(count) {}
  // The next part of what is dealt the `deal`-th time; empty when nothing is left.
  Range next_part(int deal, int64_t total) const;
  // A part of that worker's share.
  Range take(int deal, int64_t total, int owner) const;

  ThreadPool* pool_;
  int index_;
  int count_;
  int deals_ = 0;  // since the last barrier
};

// A waiting thread spins for a while and then sleeps, so that an idle model uses no CPU. A pool
// with a thread for every physical core pins its own threads, each to a core, and run() moves the
// calling one to the core that is left; the caller's affinity is its own and stays as it is.
// Smaller pools run wherever the system puts them, because several may share the machine.
// Not thread-safe: one thread calls run().
class ThreadPool {
 public:
  static constexpr int kThreadsMax = 1024;

  // REQUIRES: 1 <= threads <= kThreadsMax. kResourceExhausted if the system refuses a thread.
  static Result<std::unique_ptr<ThreadPool>> create(int threads);
  ~ThreadPool();

  int threads() const { return threads_; }

  // Runs `body` once on `count` threads, the calling one included as worker 0, and returns when all
  // have. Every worker must pass the same barriers. REQUIRES: 1 <= count <= threads().
  void run(const std::function<void(Worker&)>& body, int count);
  void run(const std::function<void(Worker&)>& body) { run(body, threads_); }

 private:
  friend class Worker;
  // Cores exchange one or two lines of 64 bytes.
  struct alignas(128) Counter {
    std::atomic<uint32_t> value{0};
  };

  explicit ThreadPool(int threads);
  void serve(int index);
  void start(int count);
  // `deals`: how many there were since the last meeting.
  void meet(int count, int deals);
  // What was taken of a worker's share: from its front in the low half, from its end in the high
  // one.
  std::atomic<uint64_t>& taken(int deal, int worker) { return taken_[deal * threads_ + worker]; }

  const int threads_;
  bool crowded_ = false;     // more threads than cores
  std::vector<Core> cores_;  // of each worker; empty: not pinned
  std::vector<std::thread> others_;
  const std::function<void(Worker&)>* body_ = nullptr;  // null: stop
  int count_ = 1;                                       // workers of the present run
  std::vector<Counter> runs_;                           // that each worker was to take part in
  Counter arrived_;                                     // workers at the present barrier
  Counter generation_;                                  // counts barriers
  std::vector<std::atomic<uint64_t>> taken_;            // since the last barrier
};

template <class Body>
void Worker::deal(int64_t total, Body body) {
  if (count_ == 1 || deals_ == kDealsMax) return body(part(total));
  const int deal = deals_++;
  for (Range part = next_part(deal, total); part.size() > 0; part = next_part(deal, total)) {
    body(part);
  }
}

}  // namespace hearth::engine
