#include "engine/tensor/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <chrono>
#include <numeric>
#include <set>

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

TEST(ThreadPool, WhatIsDealtIsDoneOnce) {
  for (const int threads : {1, 2, 3, 5}) {
    auto pool = ThreadPool::create(threads);
    ASSERT_TRUE(pool.ok());
    for (const int64_t total : {0, 1, 7, 1000}) {
      constexpr int kDeals = Worker::kDealsMax + 2;
      std::vector<std::atomic<int>> times(kDeals * total);
      (*pool)->run([&](Worker& worker) {
        for (int i = 0; i < kDeals; ++i) {
          worker.deal(total, [&](Range part) {
            for (int64_t at = part.begin; at < part.end; ++at) ++times[i * total + at];
          });
          if (i == 1) worker.barrier();
        }
      });
      for (const auto& count : times) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, AWorkerThatIsHeldUpIsDealtLess) {
  auto pool = ThreadPool::create(2);
  ASSERT_TRUE(pool.ok());
  std::atomic<int64_t> done[2] = {};
  (*pool)->run([&](Worker& worker) {
    worker.deal(1000, [&](Range part) {
      done[worker.index()] += part.end - part.begin;
      // Until the other one has done all that is left.
      while (worker.index() == 0 && done[0] + done[1] < 1000) std::this_thread::yield();
    });
  });
  EXPECT_LE(done[0], 250);
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

// Passes of changing numbers of workers, some of which are late enough for the others to sleep.
TEST(ThreadPool, BarriersHoldForAnyNumberOfWorkers) {
  constexpr int kThreads = 7;
  constexpr int kSteps = 10;
  auto pool = ThreadPool::create(kThreads);
  ASSERT_TRUE(pool.ok());
  std::vector<int> steps(kThreads, 0);
  for (int run = 0; run < 100; ++run) {
    const int count = 1 + run * 5 % kThreads;
    std::fill(steps.begin(), steps.end(), 0);
    std::atomic<int> early{0};
    (*pool)->run(
        [&](Worker& worker) {
          ASSERT_EQ(worker.count(), count);
          ASSERT_LT(worker.index(), count);
          for (int step = 1; step <= kSteps; ++step) {
            if ((run + step) % 97 == worker.index()) {
              std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
            steps[worker.index()] = step;
            worker.barrier();
            for (int i = 0; i < count; ++i) early += steps[i] != step ? 1 : 0;
            worker.barrier();
          }
        },
        count);
    ASSERT_EQ(early, 0);
    for (int i = 0; i < kThreads; ++i) ASSERT_EQ(steps[i], i < count ? kSteps : 0);
  }
}

std::set<int> affinity() {
  cpu_set_t set;
  EXPECT_EQ(pthread_getaffinity_np(pthread_self(), sizeof(set), &set), 0);
  std::set<int> processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) processors.insert(i);
  }
  return processors;
}

std::vector<std::set<int>> affinities_of_workers(int threads) {
  std::vector<std::set<int>> found(threads);
  auto pool = ThreadPool::create(threads);
  EXPECT_TRUE(pool.ok());
  (*pool)->run([&](Worker& worker) { found[worker.index()] = affinity(); });
  return found;
}

TEST(ThreadPool, AWorkerForEveryCoreStaysOnItsOwn) {
  const std::vector<Core> cores = usable_cores();
  const std::set<int> caller = affinity();
  const auto found = affinities_of_workers(static_cast<int>(cores.size()));
  EXPECT_EQ(found[0], caller);
  for (size_t i = 1; i < cores.size(); ++i) {
    EXPECT_EQ(found[i], std::set<int>(cores[i].begin(), cores[i].end()));
  }
  EXPECT_EQ(affinity(), caller);
}

TEST(ThreadPool, OtherNumbersOfWorkersGoWhereTheSystemPutsThem) {
  const int cores = static_cast<int>(usable_cores().size());
  for (const int threads : {cores + 1, 2 * cores, std::max(1, cores - 1)}) {
    for (const std::set<int>& found : affinities_of_workers(threads)) EXPECT_EQ(found, affinity());
  }
}

TEST(Cores, AreDisjointAndUsable) {
  const std::set<int> usable = affinity();
  std::set<int> seen;
  for (const Core& core : usable_cores()) {
    EXPECT_FALSE(core.empty());
    for (const int processor : core) {
      EXPECT_TRUE(seen.insert(processor).second);
      EXPECT_EQ(usable.count(processor), 1u);
    }
  }
  EXPECT_GE(physical_cores(), 1);
  EXPECT_LE(physical_cores(), static_cast<int>(usable_cores().size()));
}

TEST(Cores, RespectTheAffinityOfTheProcess) {
  const std::vector<Core> all = usable_cores();
  const std::set<int> before = affinity();
  ASSERT_TRUE(pin_to(all.back()));
  EXPECT_EQ(usable_cores(), std::vector<Core>{all.back()});
  EXPECT_EQ(physical_cores(), 1);
  ASSERT_TRUE(pin_to(Core(before.begin(), before.end())));
  EXPECT_EQ(usable_cores(), all);
}

// The system may move it on at once, so that it need not be there at the first look.
TEST(Cores, AThreadMovesAndKeepsItsAffinity) {
  const std::set<int> before = affinity();
  for (const Core& core : usable_cores()) {
    bool there = false;
    for (int i = 0; i < 1000 && !there; ++i) {
      move_to(core);
      there = std::find(core.begin(), core.end(), sched_getcpu()) != core.end();
    }
    EXPECT_TRUE(there);
    EXPECT_EQ(affinity(), before);
  }
}

}  // namespace
}  // namespace hearth::engine
