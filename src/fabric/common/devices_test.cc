#include "fabric/common/devices.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fabric/interface.h"

namespace hearth::fabric {
namespace {

// The interface of 127.0.0.1: "lo" on Linux, "lo0" elsewhere.
const std::string kLoopback = interface_of("127.0.0.1");

TEST(Devices, KnowsItsOwnAddresses) {
  EXPECT_FALSE(kLoopback.empty());
  EXPECT_TRUE(is_own_host("127.0.0.1"));
  EXPECT_TRUE(is_own_host("127.0.0.2"));
  EXPECT_FALSE(is_own_host("192.0.2.77"));  // TEST-NET-1, RFC 5737: nobody's address
  EXPECT_FALSE(is_own_host(""));
}

TEST(Devices, AreTheInterfacesOverWhichRanksMet) {
  const std::vector<std::string> hosts = {"", "127.0.0.1", "127.0.0.1", "192.0.2.77"};
  EXPECT_EQ(net_devices(hosts, "/nonexistent"), kLoopback);
  EXPECT_EQ(net_devices({}, "/nonexistent"), "");
}

TEST(Devices, IncludeRdmaPortsBehindTheInterface) {
  const std::filesystem::path sysfs =
      std::filesystem::path(::testing::TempDir()) / "hearth_devices_test";
  const auto interface = sysfs / "class/net" / kLoopback;
  std::filesystem::create_directories(interface / "device/infiniband/mlx5_7");
  std::ofstream(interface / "dev_port") << "1\n";
  const std::vector<std::string> hosts = {"127.0.0.1"};
  EXPECT_EQ(net_devices(hosts, sysfs.string()), kLoopback + ",mlx5_7:2");
  std::filesystem::remove_all(sysfs);
}

}  // namespace
}  // namespace hearth::fabric
