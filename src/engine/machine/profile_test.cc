#include "engine/machine/profile.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "base/files.h"

namespace hearth::engine {
namespace {

const MachineKey kKey{.cpu = "Vendor 1 2 \"Fast\"", .isa = "avx512", .cores = 4};

MachineProfile sample() {
  return {.read = {{1, 12.5e9}, {2, 2e10}, {4, 19e9}},
          .float_multiply_adds = 1.25e11,
          .quantised_multiply_adds = 5e11,
          .one_row = {{"Q4_0", {{1, 9e9}, {4, 3.5e10}}}, {"F16", {{1, 1e10}}}},
          .panel_rows = {{"Q4_0", 24}, {"Q6_K", 9}},
          .slabs_from = {{"Q4_0", 12}, {"F16", 2}}};
}

void expect_sample(const MachineProfile& profile) {
  const MachineProfile expected = sample();
  EXPECT_EQ(profile.read, expected.read);
  EXPECT_EQ(profile.float_multiply_adds, expected.float_multiply_adds);
  EXPECT_EQ(profile.quantised_multiply_adds, expected.quantised_multiply_adds);
  EXPECT_EQ(profile.one_row, expected.one_row);
  EXPECT_EQ(profile.panel_rows, expected.panel_rows);
  EXPECT_EQ(profile.slabs_from, expected.slabs_from);
}

class ProfileTest : public testing::Test {
 protected:
  ProfileTest() {
    std::string pattern = testing::TempDir() + "profile_test_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~ProfileTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return profile_path(folder_, kKey); }
  std::string text() const { return read_file(path(), 1 << 20).value(); }
  void write(const std::string& text) const {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << text;
  }
  // completed_profile() of a `measure` that gives the sample; counts its calls.
  MachineProfile completed(const std::string& folder) {
    return completed_profile(
        folder, kKey, [](const MachineProfile& profile) { return !profile.read.empty(); },
        [this](MachineProfile& profile) {
          ++measured_;
          profile = sample();
          return true;
        });
  }

  std::string folder_;
  int measured_ = 0;
};

TEST_F(ProfileTest, ComesBackAsItWas) {
  EXPECT_FALSE(load_profile(path(), kKey).has_value());
  ASSERT_TRUE(save_profile(path(), kKey, sample()).ok());
  const auto loaded = load_profile(path(), kKey);
  ASSERT_TRUE(loaded.has_value());
  expect_sample(*loaded);
}

TEST_F(ProfileTest, AnotherMachinesIsIgnored) {
  ASSERT_TRUE(save_profile(path(), kKey, sample()).ok());
  for (const MachineKey& other :
       {MachineKey{"Vendor 1 3", "avx512", 4}, MachineKey{kKey.cpu, "avx2", 4},
        MachineKey{kKey.cpu, "avx512", 3}}) {
    EXPECT_FALSE(load_profile(path(), other).has_value());
    EXPECT_TRUE(other.cpu != kKey.cpu || profile_path(folder_, other) != path());
  }
  std::string older = text();
  older.replace(older.find("\"version\": "), 12, "\"version\": 0");
  write(older);
  EXPECT_FALSE(load_profile(path(), kKey).has_value());
}

TEST_F(ProfileTest, DamageIsNeverTakenForNumbers) {
  ASSERT_TRUE(save_profile(path(), kKey, sample()).ok());
  const std::string whole = text();
  for (size_t size = 0; size + 2 < whole.size(); ++size) {  // without the end, "}\n"
    write(whole.substr(0, size));
    EXPECT_FALSE(load_profile(path(), kKey).has_value()) << size;
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    write(text.replace(at, from.size(), to));
    return load_profile(path(), kKey).has_value();
  };
  EXPECT_TRUE(with("12500000000.0", "12600000000.0"));
  EXPECT_FALSE(with("12500000000.0", "-1"));
  EXPECT_FALSE(with("12500000000.0", "1e999"));
  EXPECT_FALSE(with("12500000000.0", "\"fast\""));
  EXPECT_FALSE(with("125000000000.0", "0"));
  EXPECT_FALSE(with("\"4\": 19000000000.0", "\"5\": 1.0"));
  EXPECT_FALSE(with("\"4\": 19000000000.0", "\"many\": 1.0"));
  EXPECT_FALSE(with("\"Q4_0\": 24", "\"Q4_0\": -3"));
  std::mt19937 engine(1);
  for (int i = 0; i < 300; ++i) {  // bytes from anywhere: numbers or nothing, but no crash
    std::string text = whole;
    for (int change = 0; change < 3; ++change) text[engine() % text.size()] = char(engine());
    write(text);
    (void)load_profile(path(), kKey);
  }
  write(std::string(60000, '['));
  EXPECT_FALSE(load_profile(path(), kKey).has_value());
}

TEST_F(ProfileTest, IsMeasuredOnce) {
  for (int i = 0; i < 3; ++i) expect_sample(completed(folder_ + "/new/folder"));
  EXPECT_EQ(measured_, 1);
}

TEST_F(ProfileTest, DamagedAndForeignOnesAreMeasuredAndWrittenAgain) {
  ASSERT_TRUE(save_profile(path(), {"another", "avx512", 4}, sample()).ok());
  completed(folder_);
  EXPECT_EQ(measured_, 1);
  write("{\"version\": 2, ");
  completed(folder_);
  EXPECT_EQ(measured_, 2);
  const auto loaded = load_profile(path(), kKey);
  ASSERT_TRUE(loaded.has_value());
  expect_sample(*loaded);
}

TEST_F(ProfileTest, OneProcessMeasuresAtATime) {
  const int other = open((folder_ + "/machine.lock").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  EXPECT_TRUE(completed(folder_).read.empty());
  EXPECT_EQ(measured_, 0);
  close(other);
  completed(folder_);
  EXPECT_EQ(measured_, 1);
}

TEST_F(ProfileTest, NothingIsMeasuredWhereNothingCanBeKept) {
  std::ofstream(folder_ + "/file") << "not a folder";
  EXPECT_TRUE(completed(folder_ + "/file").read.empty());
  EXPECT_EQ(measured_, 0);
}

TEST_F(ProfileTest, WhatIsOfNoUseIsNotKept) {
  const auto never = [](const MachineProfile&) { return false; };
  completed_profile(folder_, kKey, never, [](MachineProfile&) { return false; });
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(ProfileTest, AKilledWriterLeavesAWholeFile) {
  ASSERT_TRUE(save_profile(path(), kKey, sample()).ok());
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      while (true) (void)save_profile(path(), kKey, sample());
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 * i));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto loaded = load_profile(path(), kKey);
    ASSERT_TRUE(loaded.has_value());
    expect_sample(*loaded);
  }
  ASSERT_TRUE(save_profile(path(), kKey, sample()).ok());
}

}  // namespace
}  // namespace hearth::engine
