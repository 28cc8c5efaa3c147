#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace hearth {
namespace {

std::string new_folder() {
  static int count = 0;
  std::string path =
      testing::TempDir() + "files_test_" + std::to_string(getpid()) + "_" + std::to_string(count++);
  std::filesystem::create_directory(path);
  return path;
}

TEST(Files, WhatIsWrittenIsReadAndPrivate) {
  const std::string path = new_folder() + "/a";
  for (const std::string text : {"first", "", "a longer one", "short"}) {
    ASSERT_TRUE(write_private_file(path, text).ok());
    EXPECT_EQ(read_file(path, 100).value(), text);
  }
  EXPECT_EQ(read_file(path, 3).value(), "sho");
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(Files, AnInterruptedWriteLeavesTheOldTextAndDoesNotStopTheNext) {
  const std::string folder = new_folder();
  const std::string path = folder + "/a";
  ASSERT_TRUE(write_private_file(path, "old").ok());
  std::ofstream(path + ".new") << "half of the n";  // what a killed writer leaves
  EXPECT_EQ(read_file(path, 100).value(), "old");
  ASSERT_TRUE(write_private_file(path, "new").ok());
  EXPECT_EQ(read_file(path, 100).value(), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

TEST(Files, ErrorsNameTheFile) {
  const std::string path = new_folder() + "/none/a";
  const auto read = read_file(path, 100);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), Code::kNotFound);
  EXPECT_NE(read.error().message().find(path), std::string::npos);
  const auto written = write_private_file(path, "text");
  ASSERT_FALSE(written.ok());
  EXPECT_NE(written.error().message().find(path), std::string::npos);
}

}  // namespace
}  // namespace hearth
