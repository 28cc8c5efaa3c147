#include "daemon/device_facts.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

class DeviceFactsTest : public testing::Test {
 protected:
  DeviceFactsTest()
      : root_(fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(root_);
    write("proc/meminfo", "MemTotal:    8000000 kB\nMemFree:  10 kB\nMemAvailable: 6000000 kB\n");
  }
  ~DeviceFactsTest() override { fs::remove_all(root_); }

  void write(const fs::path& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  Memory memory() const { return read_memory(root_.string()); }
  cluster::DeviceFacts facts() const { return read_device_facts(root_.string()); }

  const fs::path root_;
};

TEST_F(DeviceFactsTest, ReadsTheMachinesMemory) {
  EXPECT_EQ(memory().total_bytes, 8'000'000LL * 1024);
  EXPECT_EQ(memory().available_bytes, 6'000'000LL * 1024);
}

TEST_F(DeviceFactsTest, AContainersLimitIsWhatItHas) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "1000000000\n");
  write("sys/fs/cgroup/memory.current", "400000000\n");
  write("sys/fs/cgroup/memory.stat", "anon 1\nfile 5\ninactive_file 100000000\n");
  EXPECT_EQ(memory().total_bytes, 1'000'000'000);
  EXPECT_EQ(memory().available_bytes, 700'000'000);
}

TEST_F(DeviceFactsTest, TheTightestGroupAboveCounts) {
  write("proc/self/cgroup", "1:name=x:/old\n0::/user.slice/hearth.service\n");
  write("sys/fs/cgroup/user.slice/hearth.service/memory.max", "max\n");
  write("sys/fs/cgroup/user.slice/memory.max", "2000000000\n");
  write("sys/fs/cgroup/user.slice/memory.current", "500000000\n");
  EXPECT_EQ(memory().total_bytes, 2'000'000'000);
  EXPECT_EQ(memory().available_bytes, 1'500'000'000);
}

TEST_F(DeviceFactsTest, AGroupBeyondItsLimitHasNothingLeft) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "1000\n");
  write("sys/fs/cgroup/memory.current", "2000\n");
  EXPECT_EQ(memory().available_bytes, 0);
}

TEST_F(DeviceFactsTest, NamesChipAndSystem) {
  write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) 6985P-C\n");
  write("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  EXPECT_EQ(facts().chip, "Intel(R) Xeon(R) 6985P-C");
  EXPECT_EQ(facts().os, "Debian GNU/Linux 12 (bookworm)");
  EXPECT_GT(facts().cores, 0);
}

TEST_F(DeviceFactsTest, NamesAnArmBoard) {
  write("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 108.00\n");
  write("proc/device-tree/model", std::string("Raspberry Pi 5 Model B Rev 1.0\0", 31));
  EXPECT_EQ(facts().chip, "Raspberry Pi 5 Model B Rev 1.0");
}

TEST_F(DeviceFactsTest, WhatCannotBeReadIsNoError) {
  fs::remove_all(root_);
  EXPECT_EQ(facts().chip, "unknown");
  EXPECT_FALSE(facts().os.empty());
  EXPECT_EQ(memory().total_bytes, 0);
}

TEST(DeviceFacts, OnlyChangesOfTwoPercentAreWorthTelling) {
  const Memory before{.total_bytes = 10'000, .available_bytes = 5'000};
  EXPECT_FALSE(differs(before, {.total_bytes = 10'000, .available_bytes = 5'200}));
  EXPECT_TRUE(differs(before, {.total_bytes = 10'000, .available_bytes = 5'201}));
  EXPECT_TRUE(differs(before, {.total_bytes = 10'000, .available_bytes = 4'700}));
  EXPECT_TRUE(differs(before, {.total_bytes = 20'000, .available_bytes = 5'000}));
}

TEST(DeviceFacts, ThisMachineHasMemoryAndAName) {
  const Memory memory = read_memory();
  EXPECT_GT(memory.total_bytes, 0);
  EXPECT_LE(memory.available_bytes, memory.total_bytes);
  EXPECT_FALSE(host_name().empty());
}

}  // namespace
}  // namespace hearth::daemon
