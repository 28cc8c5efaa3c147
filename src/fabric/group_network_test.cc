// Ranks on machines of their own: what a network does to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "fabric/group.h"
#include "fabric/group_testing.h"
#include "fabric/network_testing.h"

namespace hearth::fabric::testing {
namespace {


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
