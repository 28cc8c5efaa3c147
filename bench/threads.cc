// What it costs that threads meet: a barrier inside a pass, and a pass that does nothing.
//   hearth_bench_threads --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include "benchmarks.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {
namespace {

constexpr int kBarriers = 1000;

void barrier(benchmark::State& state) {
  const auto pool = ThreadPool::create(static_cast<int>(state.range(0))).value();
  for (auto _ : state) {
    pool->run([](Worker& worker) {
      for (int i = 0; i < kBarriers; ++i) worker.barrier();
    });
  }
  state.SetItemsProcessed(state.iterations() * kBarriers);
}

void empty_pass(benchmark::State& state) {
  const auto pool = ThreadPool::create(static_cast<int>(state.range(0))).value();
  for (auto _ : state) pool->run([](Worker&) {});
}

}  // namespace

void register_all() {
  for (const int threads : {1, 2, 4, 8, 16, 32}) {
    if (threads > physical_cores()) break;
    benchmark::RegisterBenchmark("barrier", barrier)->Arg(threads)->UseRealTime();
    benchmark::RegisterBenchmark("empty_pass", empty_pass)->Arg(threads)->UseRealTime();
  }
}

}  // namespace hearth::engine
