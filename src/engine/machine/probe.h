// Measures what this machine can do, with the threads and the kernels that models run with.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "engine/kernels/kernels.h"
#include "engine/machine/sample_product.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

// A rate, and whether it was measured with every thread on its core all the time. Other programs
// make rates lower, never higher, so of several the highest counts.
struct Rate {
  double per_second = 0;
  bool undisturbed = false;
};
Rate better(const Rate& a, const Rate& b);

// Numbers of threads worth a try, up to `threads`: 1, 2, 3, 4, 6, 8, 12, 16, ... and all.
std::vector<int> thread_counts(int threads);

// Not thread-safe; each call takes some milliseconds.
class Probe {
 public:
  Probe(ThreadPool& pool, const kernels::Kernels& kernels) : pool_(pool), kernels_(kernels) {}

  // Bytes a second that `threads` threads read of `memory`, from its beginning on, over and over.
  Rate read(int threads, std::span<const std::byte> memory);
  // Multiply-adds a second of all threads, in a product's inner loop.
  Rate multiply_adds(bool quantised);
  // Bytes of weights a second of a product with one row, in pieces as large as a layer's matrices,
  // after each of which the threads meet.
  Rate one_row(int threads, SampleProduct& product);
  // Products a second of one thread with `rows` rows and some blocks that stay in the cache.
  Rate many_rows(int rows, SampleProduct& product, int panel_rows);

 private:
  // Calls step(worker, i) for i = 0, 1, ... on `threads` threads, which meet after each, for some
  // milliseconds: steps a second.
  Rate steps(int threads, const std::function<void(Worker&, int64_t)>& step);

  ThreadPool& pool_;
  const kernels::Kernels& kernels_;
};

}  // namespace hearth::engine
