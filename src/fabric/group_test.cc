#include "fabric/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <thread>

#include "base/limits.h"
#include "base/units.h"
#include "fabric/group_testing.h"

namespace hearth::fabric::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Tag kA = 7, kB = 8;

class GroupOver : public ::testing::TestWithParam<Way> {
 protected:
  Joined join(int size) { return join_all(GetParam(), size); }

  WayScope scope_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Ways, GroupOver, ::testing::ValuesIn(all_ways()),
                         [](const auto& info) { return info.param.name; });

#define ASSERT_OK(...)                                        \
  do {                                                        \
    const auto& outcome_ = (__VA_ARGS__);                     \
    ASSERT_TRUE(outcome_.ok()) << outcome_.error().message(); \
  } while (false)

TEST_P(GroupOver, KnowsItself) {
  Joined joined = join(3);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(joined.groups[rank]->rank(), rank);
    EXPECT_EQ(joined.groups[rank]->size(), 3);
    EXPECT_EQ(joined.groups[rank]->transport(), GetParam().transport);
    EXPECT_TRUE(joined.groups[rank]->status().ok());
  }
}

TEST_P(GroupOver, SaysWhatCarriesItsMessages) {
  const std::map<std::string, std::string> pattern_of = {{"tcp", "tcp/lo.*"},
                                                         {"ucx", R"(ucx: shared memory \(\w+.*\))"},
                                                         {"ucx_over_tcp", "ucx: tcp/lo"},
                                                         {"shm", R"(ucx: shared memory \(\w+.*\))"},
                                                         {"memory", "memory"}};
  Joined joined = join(3);
  for (const auto& group : joined.groups) {
    const int other = (group->rank() + 1) % 3;
    EXPECT_THAT(group->carrier(other), ::testing::MatchesRegex(pattern_of.at(GetParam().name)));
    EXPECT_EQ(carriers(*group), group->carrier(other));
  }
}

TEST_P(GroupOver, MessagesOfATagArriveInOrder) {
  Joined joined = join(2);
  on_every_rank(&joined, [](Group& group) {
    for (uint32_t i = 0; i < 5000; ++i) {
      if (group.rank() == 0) {
        ASSERT_OK(group.send(1, kA, std::as_bytes(std::span(&i, 1))));
      } else {
        uint32_t got = 0;
        ASSERT_OK(group.recv(0, kA, std::as_writable_bytes(std::span(&got, 1))));
        ASSERT_EQ(got, i);
      }
    }
  });
}

// Small messages behind large ones take other paths through a transport; the order must hold.
TEST_P(GroupOver, OrderHoldsAcrossSizes) {
  Joined joined = join(2);
  const std::vector<size_t> sizes = {3'000'000, 1, 70'000, 0, 1'100'000, 9000, 17, 2'000'000, 5};
  on_every_rank(&joined, [&](Group& group) {
    for (int round = 0; round < 4; ++round) {
      for (size_t i = 0; i < sizes.size(); ++i) {
        const auto expected = pattern(sizes[i], static_cast<int>(i));
        if (group.rank() == 0) {
          ASSERT_OK(group.send(1, kA, expected));
        } else {
          std::vector<std::byte> got;
          ASSERT_OK(group.recv(0, kA, &got));
          ASSERT_EQ(got.size(), expected.size());
          ASSERT_TRUE(same(got, expected)) << "message " << i;
        }
      }
    }
  });
}

TEST_P(GroupOver, TagsOvertakeEachOther) {
  Joined joined = join(2);
  on_every_rank(&joined, [](Group& group) {
    if (group.rank() == 0) {
      ASSERT_OK(group.send(1, kA, bytes_of("first")));
      ASSERT_OK(group.send(1, kA, bytes_of("second")));
      ASSERT_OK(group.send(1, kB, bytes_of("other")));
    } else {
      std::vector<std::byte> got;
      ASSERT_OK(group.recv(0, kB, &got));
      EXPECT_EQ(text_of(got), "other");
      ASSERT_OK(group.recv(0, kA, &got));
      EXPECT_EQ(text_of(got), "first");
      ASSERT_OK(group.recv(0, kA, &got));
      EXPECT_EQ(text_of(got), "second");
    }
  });
}

TEST_P(GroupOver, CarriesEverySize) {
  Joined joined = join(2);
  const std::vector<size_t> sizes = {
      0,     1,     63,    64,      65,      1000,      8191,    8192,          8193,   16384,
      65535, 65536, 65537, 100'000, 262'144, 1'000'000, 1 << 20, (1 << 20) + 1, 8 << 20};
  on_every_rank(&joined, [&](Group& group) {
    std::vector<std::byte> buffer(8 << 20);
    for (const size_t size : sizes) {
      const auto expected = pattern(size, static_cast<int>(size));
      if (group.rank() == 0) {
        ASSERT_OK(group.send(1, kA, expected));
        std::vector<std::byte> back;
        ASSERT_OK(group.recv(1, kB, &back));
        ASSERT_TRUE(same(back, expected)) << size;
      } else {
        const auto got = group.recv(0, kA, std::span(buffer));
        ASSERT_TRUE(got.ok()) << got.error().message();
        ASSERT_EQ(*got, size);
        ASSERT_OK(group.send(0, kB, std::span(buffer).first(size)));
      }
    }
  });
}

TEST_P(GroupOver, EveryoneSendsLargeMessagesBeforeAnyoneReceives) {
  for (int size = 2; size <= 4; ++size) {
    Joined joined = join(size);
    on_every_rank(&joined, [&](Group& group) {
      const auto mine = pattern(8 << 20, group.rank());
      for (int to = 0; to < size; ++to) {
        if (to != group.rank()) ASSERT_OK(group.send(to, kA, mine));
      }
      for (int from = 0; from < size; ++from) {
        if (from == group.rank()) continue;
        std::vector<std::byte> got;
        ASSERT_OK(group.recv(from, kA, &got));
        ASSERT_TRUE(same(got, pattern(8 << 20, from))) << from;
      }
    });
  }
}

// Rank 2's large message to rank 0 must leave while rank 0 waits for somebody else.
TEST_P(GroupOver, WaitingForOneRankStillTakesFromOthers) {
  Joined joined = join(3);
  on_every_rank(&joined, [](Group& group) {
    const auto large = pattern(8 << 20, 1);
    std::vector<std::byte> got;
    if (group.rank() == 0) {
      ASSERT_OK(group.recv(1, kA, &got));
      ASSERT_OK(group.recv(2, kA, &got));
      EXPECT_TRUE(same(got, large));
    } else if (group.rank() == 1) {
      ASSERT_OK(group.recv(2, kA, &got));
      ASSERT_OK(group.send(0, kA, got));
    } else {
      ASSERT_OK(group.send(0, kA, large));
      ASSERT_OK(group.send(1, kA, bytes_of("now")));
    }
  });
}

TEST_P(GroupOver, TooSmallABufferIsAnErrorAndLosesOnlyThatMessage) {
  Joined joined = join(2);
  on_every_rank(&joined, [](Group& group) {
    for (const size_t size : {size_t{20}, size_t{100'000}, size_t{3'000'000}}) {
      if (group.rank() == 0) {
        ASSERT_OK(group.send(1, kA, pattern(size, 0)));
        ASSERT_OK(group.send(1, kA, bytes_of("next")));
      } else {
        std::vector<std::byte> buffer(size - 1);
        const auto got = group.recv(0, kA, std::span(buffer));
        ASSERT_FALSE(got.ok());
        EXPECT_EQ(got.error().code(), Code::kCorrupt);
        EXPECT_THAT(got.error().message(), HasSubstr(std::to_string(size)));
        std::vector<std::byte> next;
        ASSERT_OK(group.recv(0, kA, &next));
        EXPECT_EQ(text_of(next), "next");
        EXPECT_TRUE(group.status().ok());
      }
    }
  });
}

// What is kept for later is bounded, and what was kept is still there after the refusal.
TEST_P(GroupOver, TooMuchBeforeTheExpectedMessageIsRefused) {
  Joined joined = join(2);
  on_every_rank(&joined, [](Group& group) {
    const auto large = pattern(16 << 20, 0);
    if (group.rank() == 0) {
      for (int i = 0; i < 6; ++i) ASSERT_OK(group.send(1, kA, large));
      ASSERT_OK(group.send(1, kB, bytes_of("expected")));
      return;
    }
    std::vector<std::byte> got;
    const auto refused = group.recv(0, kB, &got);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
    for (int i = 0; i < 6; ++i) {
      ASSERT_OK(group.recv(0, kA, &got));
      ASSERT_TRUE(same(got, large));
    }
    ASSERT_OK(group.recv(0, kB, &got));
    EXPECT_EQ(text_of(got), "expected");
  });
}

// Rank 1 waits for rank 2 and so takes what rank 0 sends, up to the bound: then rank 0 waits.
TEST_P(GroupOver, ASenderFarAheadWaitsForItsReceiver) {
  Joined joined = join(3);
  constexpr int kMessages = 200, kBoundMessages = 130;
  std::atomic<int> sent = 0;
  on_every_rank(&joined, [&](Group& group) {
    const auto megabyte = pattern(1 << 20, 0);
    std::vector<std::byte> got;
    if (group.rank() == 0) {
      for (; sent < kMessages; ++sent) ASSERT_OK(group.send(1, kA, megabyte));
    } else if (group.rank() == 1) {
      ASSERT_OK(group.recv(2, kB, &got));
      for (int i = 0; i < kMessages; ++i) {
        ASSERT_OK(group.recv(0, kA, &got));
        ASSERT_TRUE(same(got, megabyte));
      }
    } else {
      while (sent < 64) std::this_thread::sleep_for(1ms);
      std::this_thread::sleep_for(300ms);
      EXPECT_LT(sent, kBoundMessages);
      ASSERT_OK(group.send(1, kB, {}));
    }
  });
}

// Of this process, in bytes.
int64_t resident_bytes() {
  std::ifstream numbers("/proc/self/statm");
  int64_t total = 0, resident = 0;
  numbers >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

void await_standstill(const std::atomic<int>& count) {
  for (int seen = -1; seen != count;) {
    seen = count;
    std::this_thread::sleep_for(200ms);
  }
}

// Whether the receiver takes part (it waits for another rank) or is busy elsewhere: what it has not
// asked for is bounded, in its process and in the sender's, and nothing is lost.
TEST_P(GroupOver, ASenderOfManyMessagesIsSlowedByItsReceiver) {
  constexpr int kMessages = 10'000;
  constexpr int64_t kRoom = 256_MiB;
  for (const bool takes_part : {false, true}) {
    Joined joined = join(3);
    std::atomic<int> sent = 0;
    const int64_t before = resident_bytes();
    on_every_rank(&joined, [&](Group& group) {
      std::vector<std::byte> message = pattern(64 * 1024, 1), got;
      if (group.rank() == 0) {
        for (int i = 0; i < kMessages; ++i, ++sent) {
          std::memcpy(message.data(), &i, sizeof i);
          ASSERT_OK(group.send(1, kA, message));
        }
        return;
      }
      if (group.rank() == 1 && takes_part) ASSERT_OK(group.recv(2, kB, &got));
      if (group.rank() == (takes_part ? 2 : 1)) {
        await_standstill(sent);
        EXPECT_LT(sent, kMessages);
        EXPECT_LT(resident_bytes() - before, kRoom);
      }
      if (group.rank() == 2) {
        if (takes_part) ASSERT_OK(group.send(1, kB, {}));
        return;
      }
      for (int i = 0; i < kMessages; ++i) {
        ASSERT_OK(group.recv(0, kA, &got));
        ASSERT_EQ(std::memcmp(got.data(), &i, sizeof i), 0);
      }
    });
  }
}

// Small messages take more room than their bytes: those sent here would all find room otherwise.
TEST_P(GroupOver, ASenderOfSmallMessagesIsSlowedByItsReceiver) {
  constexpr int kMessages = 340'000;
  constexpr size_t kBytes = 192;
  static_assert(kMessages * kBytes < kUnclaimedBytesMax);
  Joined joined = join(3);
  std::atomic<int> sent = 0;
  on_every_rank(&joined, [&](Group& group) {
    std::array<std::byte, kBytes> words{};
    if (group.rank() == 0) {
      for (; sent < kMessages; ++sent) ASSERT_OK(group.send(1, kA, words));
    } else if (group.rank() == 1) {
      ASSERT_OK(group.recv(2, kB, std::span<std::byte>()));
      for (int i = 0; i < kMessages; ++i) ASSERT_OK(group.recv(0, kA, words));
    } else {
      await_standstill(sent);
      EXPECT_LT(sent, kMessages);
      ASSERT_OK(group.send(1, kB, {}));
    }
  });
}

TEST_P(GroupOver, BroadcastReachesEveryRankFromEveryRoot) {
  Joined joined = join(4);
  on_every_rank(&joined, [](Group& group) {
    for (const size_t size : {size_t{0}, size_t{5}, size_t{200'000}}) {
      for (int root = 0; root < 4; ++root) {
        auto data = group.rank() == root ? pattern(size, root) : std::vector<std::byte>(size);
        ASSERT_OK(group.broadcast(root, data));
        ASSERT_TRUE(same(data, pattern(size, root)));
      }
    }
  });
}

TEST_P(GroupOver, BroadcastOfAnotherSizeIsCorrupt) {
  Joined joined = join(2);
  on_every_rank(&joined, [](Group& group) {
    std::vector<std::byte> data(group.rank() == 0 ? 5 : 6);
    const auto done = group.broadcast(0, data);
    EXPECT_EQ(done.ok(), group.rank() == 0);
    if (!done.ok()) {
      EXPECT_EQ(done.error().code(), Code::kCorrupt);
    }
  });
}

TEST_P(GroupOver, NobodyPassesABarrierEarly) {
  for (int size = 2; size <= 4; ++size) {
    Joined joined = join(size);
    std::atomic<int> entered = 0;
    on_every_rank(&joined, [&](Group& group) {
      for (int round = 1; round <= 50; ++round) {
        ++entered;
        ASSERT_OK(group.barrier());
        ASSERT_GE(entered, round * size);
      }
    });
  }
}

TEST_P(GroupOver, RefusesWhatCannotBeSent) {
  Joined joined = join(2);
  Group& group = *joined.groups[0];
  const auto code = [](const Result<void>& result) {
    return result.ok() ? Code::kInternal : result.error().code();
  };
  EXPECT_EQ(code(group.send(0, kA, {})), Code::kInvalidArgument);
  EXPECT_EQ(code(group.send(2, kA, {})), Code::kInvalidArgument);
  EXPECT_EQ(code(group.send(-1, kA, {})), Code::kInvalidArgument);
  EXPECT_EQ(code(group.send(1, kReservedTags, {})), Code::kInvalidArgument);
  const std::byte one{};
  const std::span<const std::byte> huge(&one, static_cast<size_t>(limits::kFrameBytesMax) + 1);
  EXPECT_EQ(code(group.send(1, kA, huge)), Code::kInvalidArgument);
  EXPECT_EQ(code(group.broadcast(2, {})), Code::kInvalidArgument);
  EXPECT_TRUE(group.status().ok());
}

TEST_P(GroupOver, TheReasonOfAFailureReachesEveryWaitingRank) {
  Joined joined = join(4);
  const auto before = Clock::now();
  on_every_rank(&joined, [](Group& group) {
    std::string expected = "rank 1";
    if (group.rank() == 1) {
      group.fail("out of memory at layer 3");
    } else {
      std::vector<std::byte> got;
      const auto result = group.recv((group.rank() + 1) % 4, kA, &got);
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().code(), Code::kUnavailable);
      EXPECT_THAT(result.error().message(), StartsWith("rank 1"));
      EXPECT_THAT(result.error().message(), HasSubstr("failed: out of memory at layer 3"));
    }
    const auto again = group.barrier();
    ASSERT_FALSE(again.ok());
    EXPECT_THAT(again.error().message(), HasSubstr("out of memory at layer 3"));
    EXPECT_EQ(group.status().error().message(), again.error().message());
  });
  EXPECT_LT(Clock::now() - before, kNoticedWithin);
}

TEST_P(GroupOver, AFailureOfThisRankEndsItsOwnWait) {
  Joined joined = join(2);
  std::thread other([&] {
    std::this_thread::sleep_for(50ms);
    joined.groups[0]->fail("stopped");
  });
  std::vector<std::byte> got;
  const auto result = joined.groups[0]->recv(1, kA, &got);
  other.join();
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr("failed: stopped"));
}

// A sender whose peer takes nothing waits; the failure must end that as well.
TEST_P(GroupOver, AFailureEndsAStuckSend) {
  Joined joined = join(2);
  std::thread other([&] {
    std::this_thread::sleep_for(200ms);
    joined.groups[1]->fail("enough");
  });
  const auto large = pattern(8 << 20, 0);
  Result<void> sent;
  while (sent.ok()) sent = joined.groups[0]->send(1, kA, large);
  other.join();
  EXPECT_EQ(sent.error().code(), Code::kUnavailable);
  EXPECT_THAT(sent.error().message(), HasSubstr("failed: enough"));
}

TEST_P(GroupOver, LeavingIsNoticedByEveryone) {
  Joined joined = join(3);
  const auto before = Clock::now();
  std::thread leaver([&] { joined.groups[1].reset(); });
  std::vector<std::thread> others;
  for (const int rank : {0, 2}) {
    others.emplace_back([&joined, rank] {
      std::vector<std::byte> got;
      const auto result = joined.groups[rank]->recv(2 - rank, kA, &got);
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().code(), Code::kUnavailable);
      EXPECT_THAT(result.error().message(), StartsWith("rank 1"));
      EXPECT_THAT(result.error().message(), HasSubstr("left"));
    });
  }
  leaver.join();
  for (std::thread& thread : others) thread.join();
  EXPECT_LT(Clock::now() - before, kNoticedWithin);
}

// barrier() and then leaving is the orderly end: nobody may see it as a failure of the barrier.
TEST_P(GroupOver, TheLastWordOfALeaverIsHeard) {
  for (int round = 0; round < 5; ++round) {
    Joined joined = join(3);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < 3; ++rank) {
      threads.emplace_back([&joined, rank] {
        std::unique_ptr<Group> group = std::move(joined.groups[rank]);
        if (rank == 0) {
          ASSERT_OK(group->send(1, kA, pattern(100'000, 1)));
          ASSERT_OK(group->send(2, kA, pattern(100'000, 1)));
        }
        ASSERT_OK(group->barrier());
        if (rank == 0) return;
        std::vector<std::byte> got;
        ASSERT_OK(group->recv(0, kA, &got));
        ASSERT_TRUE(same(got, pattern(100'000, 1)));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

TEST_P(GroupOver, JoiningAndLeavingLeaksNoDescriptors) {
  { Joined warm_up = join(2); }
  const int before = open_descriptors();
  for (int round = 0; round < 50; ++round) {
    Joined joined = join(2);
    on_every_rank(&joined, [](Group& group) { ASSERT_OK(group.barrier()); });
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(GroupOfOne, NeedsNobody) {
  auto group = Group::join(nullptr, {.rank = 0, .addresses = {""}});
  ASSERT_OK(group);
  EXPECT_EQ((*group)->transport(), "none");
  EXPECT_EQ((*group)->size(), 1);
  std::vector<std::byte> data(3);
  ASSERT_OK((*group)->broadcast(0, data));
  ASSERT_OK((*group)->barrier());
  EXPECT_FALSE((*group)->send(0, kA, data).ok());
  (*group)->fail("tired");
  EXPECT_THAT((*group)->barrier().error().message(), HasSubstr("tired"));
}

}  // namespace
}  // namespace hearth::fabric::testing
