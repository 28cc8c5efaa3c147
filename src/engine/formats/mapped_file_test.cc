#include "engine/formats/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "engine/formats/test_files.h"
#include "engine/rank_model.h"
#include "engine/tokenizer.h"

namespace hearth::engine {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMegabyte = 1 << 20;

size_t count_of(const MappedFile& file, char wanted) {
  const std::string_view text = file.text();
  return static_cast<size_t>(std::count(text.begin(), text.end(), wanted));
}

TEST(MappedFile, AFileCutShortReadsAsZerosAndSaysSo) {
  const TemporaryFolder folder;
  const std::string path = folder.write("cut", std::string(kMegabyte, 'x'));
  auto cut = MappedFile::open(path);
  const auto whole = MappedFile::open(folder.write("whole", std::string(kMegabyte, 'y')));
  ASSERT_TRUE(cut.ok() && whole.ok());
  std::filesystem::resize_file(path, 5000);
  MappedFile moved = std::move(*cut);
  EXPECT_EQ(count_of(moved, 'x'), 5000u);
  EXPECT_EQ(count_of(moved, '\0'), kMegabyte - 5000);
  ASSERT_FALSE(moved.check_intact().ok());
  EXPECT_EQ(moved.check_intact().error().code(), Code::kCorrupt);
  EXPECT_THAT(moved.check_intact().error().message(),
              HasSubstr(path + ": cut short while it was read, expected all of its 1048576 bytes"));
  EXPECT_EQ(count_of(*whole, 'y'), kMegabyte);
  EXPECT_TRUE(whole->check_intact().ok());
}

TEST(MappedFile, ALaterMappingAtTheSamePlaceStartsIntact) {
  const TemporaryFolder folder;
  for (int i = 0; i < 3; ++i) {
    const std::string path = folder.write("file", std::string(kMegabyte, 'x'));
    const auto file = MappedFile::open(path);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(count_of(*file, 'x'), kMegabyte);
    EXPECT_TRUE(file->check_intact().ok());
    std::filesystem::resize_file(path, 0);
    EXPECT_EQ(count_of(*file, 'x'), 0u);
    EXPECT_FALSE(file->check_intact().ok());
  }
}

TEST(MappedFile, OtherBusErrorsStillEndTheProcess) {
  const TemporaryFolder folder;
  const auto file = MappedFile::open(folder.write("file", "x"));
  ASSERT_TRUE(file.ok());
  EXPECT_DEATH(::raise(SIGBUS), "");
}

// What of a mapped file is in this process' memory.
size_t resident_bytes(const MappedFile& file) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  while (std::getline(smaps, line) && !line.ends_with(file.path())) continue;
  while (std::getline(smaps, line)) {
    if (line.starts_with("Rss:")) return 1024 * std::stoul(line.substr(4));
  }
  return 0;
}

TEST(MappedFile, WhatIsReleasedTakesNoMemoryAndCanBeReadAgain) {
  constexpr size_t kSize = 8 * kMegabyte;
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "");
  std::ofstream out(path);  // written bit by bit: the system may keep large writes in large pages
  for (size_t i = 0; i < kSize; ++i) out.put('x');
  out.close();
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  // Piece by piece, and what a fault maps around the beginning of a piece goes too.
  constexpr size_t kPiece = 1'000'000;
  for (size_t at = 0; at < kSize; at += kPiece) {
    const auto piece = file->bytes().subspan(at, std::min(kPiece, kSize - at));
    EXPECT_EQ(std::count(piece.begin(), piece.end(), std::byte{'x'}), piece.size());
    EXPECT_GE(resident_bytes(*file), piece.size());
    file->release(piece);
    EXPECT_EQ(resident_bytes(*file), 0u);
  }
  EXPECT_EQ(count_of(*file, 'x'), kSize);
  std::string other(kMegabyte, 'y');
  file->release(bytes_of(other));
  EXPECT_EQ(other, std::string(kMegabyte, 'y'));
}

TEST(MappedFile, WeightsCutShortBeforeTheyAreLoadedAreAnError) {
  const TemporaryFolder folder;
  const std::string path = folder.write("model.gguf", read_file(golden("gguf/qwen3.gguf")));
  const auto files = ModelFiles::open(path);
  ASSERT_TRUE(files.ok()) << files.error().message();
  EXPECT_TRUE((*files)->check_intact().ok());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  LoadOptions options;
  options.shard.layer_end = (*files)->spec().layers;
  const auto model = RankModel::load(**files, options);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code(), Code::kCorrupt);
  EXPECT_THAT(model.error().message(), HasSubstr(path + ": cut short"));
}

}  // namespace
}  // namespace hearth::engine
