// Ranks on machines of their own: what a network does to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "fabric/collectives.h"
#include "fabric/group.h"
#include "fabric/group_testing.h"
#include "fabric/network_testing.h"

namespace hearth::fabric::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Tag kNever = 1;

class GroupOnANetwork : public ::testing::TestWithParam<Way> {
 protected:
  WayScope scope_{GetParam()};
};

std::vector<Way> network_ways() {
  std::vector<Way> ways = socket_ways();
  std::erase_if(ways, [](const Way& way) { return way.transport == "shm"; });
  return ways;
}

INSTANTIATE_TEST_SUITE_P(Ways, GroupOnANetwork, ::testing::ValuesIn(network_ways()),
                         [](const auto& info) { return info.param.name; });

TEST_P(GroupOnANetwork, TalksOverTheInterfaceThatJoinsThem) {
  on_machines(2, GetParam().transport, Sysfs::kOwn, [](Group& group) {
    EXPECT_TRUE(group.barrier().ok());
    EXPECT_FALSE(group.shares_memory(1 - group.rank()));
    EXPECT_EQ(carriers(group), GetParam().transport == "tcp" ? "tcp/machine" : "ucx: tcp/machine");
  });
}

// From one moment on nothing of rank 1 arrives and nothing reaches it; every link stays up, and no
// connection ends. `act` is what ranks do until it is an error, which has to name the other side,
// soon.
void lose_rank_1(const Way& way, const std::function<Error(Group&)>& act) {
  std::atomic<Clock::time_point> lost;
  on_machines(
      3, way.transport, Sysfs::kOwn,
      [&](Group& group) {
        const Error error = act(group);
        const auto taken = Clock::now() - lost.load();
        EXPECT_LT(taken, kNoticedWithin);
        EXPECT_EQ(error.code(), Code::kUnavailable);
        EXPECT_THAT(error.message(), AllOf(StartsWith("rank "), HasSubstr("died: silent")));
        EXPECT_EQ(error.message().starts_with("rank 1 at 10.78.0.2:"), group.rank() != 1)
            << error.message();
        EXPECT_EQ(group.status().error().message(), error.message());
      },
      [&](const Bridge& bridge) {
        std::this_thread::sleep_for(300ms);
        lost = Clock::now();
        bridge.lose_packets_of(1);
      });
}

TEST_P(GroupOnANetwork, LostPacketsEndAReceive) {
  lose_rank_1(GetParam(), [](Group& group) {
    std::vector<std::byte> data;
    return group.recv((group.rank() + 1) % 3, kNever, &data).error();
  });
}

TEST_P(GroupOnANetwork, LostPacketsEndSums) {
  lose_rank_1(GetParam(), [](Group& group) {
    auto team = Collectives::create(group, {0, 1, 2});
    Result<void> result;
    std::vector<float> data(100'000);
    while (result.ok()) result = (*team)->all_reduce(data);
    return result.error();
  });
}

TEST_P(GroupOnANetwork, LostPacketsEndASendOfMuch) {
  lose_rank_1(GetParam(), [](Group& group) {
    const std::vector<std::byte> large(8 << 20);
    std::vector<std::byte> got;
    Result<void> result;
    while (result.ok()) {
      result = group.send((group.rank() + 1) % 3, kNever, large);
      if (result.ok()) result = group.recv((group.rank() + 2) % 3, kNever, &got);
    }
    return result.error();
  });
}

// Nobody calls anything: the group knows by itself.
TEST_P(GroupOnANetwork, LostPacketsAreNoticedByIdleRanks) {
  lose_rank_1(GetParam(), [](Group& group) {
    while (group.status().ok()) std::this_thread::sleep_for(10ms);
    return group.status().error();
  });
}

// As in a container that has the host's /sys: UCX looks there for its devices.
TEST(GroupWithTheSysOfAnotherNetwork, TalksWithoutUcx) {
  on_machines(2, "auto", Sysfs::kOfAnother, [](Group& group) {
    EXPECT_EQ(group.transport(), "tcp");
    EXPECT_EQ(carriers(group), "tcp/machine");
    EXPECT_TRUE(group.barrier().ok());
  });
}

}  // namespace
}  // namespace hearth::fabric::testing
