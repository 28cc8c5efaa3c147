// The sums over a team in a pass, one after another in the order in which they are asked for, which
// is the same on all ranks: at once, or on a thread of their own while the workers compute.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/result.h"
#include "fabric/collectives.h"

namespace hearth::engine {

// Used by one thread at a time. After the first error no more sums are made, and all return.
class Sums {
 public:
  // `team` must outlive it.
  explicit Sums(fabric::Collectives& team) : team_(team) {}
  ~Sums();

  // Whether they take long enough to be made while workers compute.
  bool are_slow() const { return team_.slow(); }
  // `data` becomes the sum.
  void make(std::span<float> data) { make_one({data}); }
  // The sum is added to `to`; `data` is undefined after it.
  void make_onto(std::span<float> data, std::span<float> to) { make_one({data, to}); }
  // Also where the team rounds what travels: for few numbers that much depends on.
  void make_exactly(std::span<float> data) { make_one({data, {}, /*exact=*/true}); }
  // `data` becomes the sum until wait() for the number that this returns, and is not touched
  // before.
  int64_t start(std::span<float> data) { return enqueue({data}); }
  void wait(int64_t number);

  // The first error. REQUIRES: nothing that was started has not been waited for.
  Result<void> status() const { return status_; }

 private:
  struct Sum {
    std::span<float> data;
    std::span<float> to{};
    bool exact = false;
  };

  void make_one(const Sum& sum);
  int64_t enqueue(const Sum& sum);
  void add(const Sum& sum);
  // In the order of ranks.
  Result<void> add_exactly(std::span<float> data);
  bool made_through(int64_t number);
  void work();

  fabric::Collectives& team_;
  Result<void> status_;  // of who makes sums: the thread, as long as some are waiting
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sum> waiting_;   // the first is being made
  std::vector<float> parts_;  // [ranks, numbers] of an exact sum
  int64_t started_ = 0, made_ = 0;
  bool closing_ = false;
  std::thread thread_;  // from the first start() on
};

}  // namespace hearth::engine
