#include "engine/tensor/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <numeric>

namespace hearth::engine {
namespace {

TEST(PartOf, PartsCoverTheWholeInOrder) {
  for (const int count : {1, 2, 3, 7, 16}) {
    for (const int64_t total : {0, 1, 5, 16, 1000}) {
      int64_t at = 0;
      for (int index = 0; index < count; ++index) {
        const Range range = part_of(total, index, count);
        EXPECT_EQ(range.begin, at);
        EXPECT_LE(range.end - range.begin, total / count + 1);
        at = range.end;
      }
      EXPECT_EQ(at, total);
    }
  }
}

TEST(ThreadPool, EveryWorkerRunsOnceAndSeesWhatOthersWroteBeforeABarrier) {
  for (const int threads : {1, 2, 3, 5}) {
    auto pool = ThreadPool::create(threads);
    ASSERT_TRUE(pool.ok());
    std::vector<int> values(threads, 0);
    std::vector<int> sums(threads, 0);
    for (int round = 1; round <= 50; ++round) {
      (*pool)->run([&](Worker& worker) {
        EXPECT_EQ(worker.count(), threads);
        for (int step = 0; step < 3; ++step) {
          values[worker.index()] += round;
          worker.barrier();
          sums[worker.index()] = std::accumulate(values.begin(), values.end(), 0);
          worker.barrier();
        }
      });
      for (const int sum : sums) ASSERT_EQ(sum, threads * 3 * round * (round + 1) / 2);
    }
  }
}

TEST(ThreadPool, IdleWorkersUseNoProcessorTime) {
  auto pool = ThreadPool::create(4);
  ASSERT_TRUE(pool.ok());
  (*pool)->run([](Worker&) {});
  const auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // past the spinning
  const auto before = used();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(used() - before, std::chrono::milliseconds(100));  // three spinners would use up to 900
}

TEST(ThreadPool, CountsAtLeastOneCore) { EXPECT_GE(physical_cores(), 1); }

}  // namespace
}  // namespace hearth::engine
