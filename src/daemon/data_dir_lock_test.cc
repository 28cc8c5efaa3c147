#include "daemon/data_dir_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

TEST(DataDirLock, IsHeldByOneAndFreeAgainAfterwards) {
  const std::string directory =
      testing::TempDir() + "hearth_lock_" + std::to_string(getpid()) + "/new";
  fs::remove_all(directory);
  {
    const auto lock = DataDirLock::acquire(directory);
    ASSERT_TRUE(lock.ok()) << lock.error().message();
    EXPECT_EQ(fs::status(directory).permissions(), fs::perms::owner_all);
    const auto second = DataDirLock::acquire(directory);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
    EXPECT_THAT(second.error().message(), testing::HasSubstr(std::to_string(getpid())));
    EXPECT_THAT(second.error().message(), testing::HasSubstr("--data-dir"));
  }
  EXPECT_TRUE(DataDirLock::acquire(directory).ok());
  fs::remove_all(directory);
}

TEST(DataDirLock, SaysWhatToDoWhenTheDirectoryCannotBe) {
  const auto lock = DataDirLock::acquire("/proc/nowhere/hearth");
  ASSERT_FALSE(lock.ok());
  EXPECT_THAT(lock.error().message(), testing::HasSubstr("--data-dir"));
}

}  // namespace
}  // namespace hearth::daemon
