#include "engine/tensor/buffer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace hearth::engine {
namespace {

constexpr int64_t kHugePage = 2 << 20;

int64_t resident_pages(const Buffer& buffer) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  std::vector<unsigned char> resident((buffer.bytes() + page - 1) / page);
  EXPECT_EQ(mincore(buffer.data(), buffer.bytes(), resident.data()), 0);
  int64_t count = 0;
  for (const unsigned char flag : resident) count += flag & 1;
  return count;
}

TEST(Buffer, LargeOnesStartAtAHugePageAndAreZeroAndWritableToTheEnd) {
  for (const int64_t bytes : {kHugePage, kHugePage + 1, 3 * kHugePage - 4096, 5 * kHugePage + 77}) {
    auto buffer = Buffer::allocate(bytes);
    ASSERT_TRUE(buffer.ok());
    EXPECT_EQ(buffer->bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % kHugePage, 0u);
    EXPECT_EQ(buffer->data()[0], std::byte{0});
    EXPECT_EQ(buffer->data()[bytes - 1], std::byte{0});
    std::memset(buffer->data(), 1, bytes);
  }
}

TEST(Buffer, SmallOnesTakeNoMoreThanThePagesWritten) {
  std::vector<Buffer> buffers;
  for (int i = 0; i < 20; ++i) {
    buffers.push_back(Buffer::allocate(kHugePage - 1).value());
    buffers.back().data()[i * 4096] = std::byte{1};
    EXPECT_EQ(resident_pages(buffers.back()), 1);
  }
}

TEST(Buffer, GivesBackAllThatItMapped) {
  const auto mapped = [] {
    int64_t pages = 0;
    FILE* file = fopen("/proc/self/statm", "r");
    EXPECT_EQ(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
  };
  const int64_t before = mapped();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Buffer::allocate(kHugePage + i * 1000).ok());
  EXPECT_LT(mapped() - before, 100 * kHugePage / 4);
  const auto kept = Buffer::allocate(16 * kHugePage);
  ASSERT_TRUE(kept.ok());
  EXPECT_LT(mapped() - before, 16 * kHugePage + 100 * kHugePage / 4);
}

TEST(Buffer, RefusesWhatTheSystemDoesNotHave) {
  const auto buffer = Buffer::allocate(int64_t{1} << 60);
  ASSERT_FALSE(buffer.ok());
  EXPECT_EQ(buffer.error().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace hearth::engine
