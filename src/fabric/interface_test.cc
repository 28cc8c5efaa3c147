#include "fabric/interface.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fabric/common/devices.h"

namespace hearth::fabric {
namespace {

namespace fs = std::filesystem;

// A /sys in which this machine's loopback interface is whatever a test wants.
class InterfaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Tests may run side by side.
    const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    sysfs_ = fs::path(::testing::TempDir()) / ("hearth_interface_" + test);
    fs::remove_all(sysfs_);
    folder_ = sysfs_ / "class/net" / interface_of("127.0.0.1");
    fs::create_directories(folder_);
    type(1);
  }
  void TearDown() override { fs::remove_all(sysfs_); }

  void type(int number) { std::ofstream(folder_ / "type") << number << "\n"; }
  std::string kind() const { return interface_with("127.0.0.1", sysfs_.string()).kind; }

  fs::path sysfs_, folder_;
};

TEST_F(InterfaceTest, IsWhatTheSystemSays) {
  EXPECT_EQ(kind(), "virtual");
  type(772);
  EXPECT_EQ(kind(), "loopback");
  type(65534);
  EXPECT_EQ(kind(), "other");
  type(32);
  EXPECT_EQ(kind(), "infiniband");
  type(1);
  fs::create_directories(folder_ / "device");
  EXPECT_EQ(kind(), "ethernet");
  fs::create_symlink("../../bus/thunderbolt/drivers/thunderbolt-net", folder_ / "device/driver");
  EXPECT_EQ(kind(), "thunderbolt");
  fs::create_directories(folder_ / "phy80211");
  EXPECT_EQ(kind(), "wifi");
  fs::create_directories(folder_ / "device/infiniband/mlx5_0");
  EXPECT_EQ(kind(), "rdma");
  EXPECT_EQ(interface_with("127.0.0.1", sysfs_.string()).rdma_ports, "mlx5_0:1");
}

TEST_F(InterfaceTest, TunnelsAreKnownByTheirFlags) {
  type(65534);
  std::ofstream(folder_ / "tun_flags") << "0x1001\n";
  EXPECT_EQ(kind(), "tunnel");
}

TEST_F(InterfaceTest, WhatIsNotThereHasNoName) {
  // TEST-NET-1, RFC 5737: nobody's address.
  EXPECT_EQ(interface_with("192.0.2.77", sysfs_.string()).name, "");
  EXPECT_EQ(interface_with("127.0.0.1", "/nonexistent").name, interface_of("127.0.0.1"));
  EXPECT_TRUE(is_own_host("127.0.0.1"));
  EXPECT_FALSE(is_own_host("192.0.2.77"));
}

TEST_F(InterfaceTest, ListsAllRdmaPorts) {
  EXPECT_EQ(all_rdma_ports(sysfs_.string()), "");
  fs::create_directories(sysfs_ / "class/infiniband/mlx5_0/ports/1");
  fs::create_directories(sysfs_ / "class/infiniband/mlx5_0/ports/2");
  fs::create_directories(sysfs_ / "class/infiniband/rxe0/ports/1");
  EXPECT_EQ(all_rdma_ports(sysfs_.string()), "mlx5_0:1,mlx5_0:2,rxe0:1");
}

}  // namespace
}  // namespace hearth::fabric
