#include "base/units.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

TEST(Units, FormatsForPeople) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(812), "812 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(1023), "0.999 KiB");
  EXPECT_EQ(format_bytes(24_GiB), "24 GiB");
}

TEST(Units, ParsesWhatPeopleWrite) {
  EXPECT_EQ(*parse_bytes("512"), 512);
  EXPECT_EQ(*parse_bytes("64K"), 64_KiB);
  EXPECT_EQ(*parse_bytes("8g"), 8_GiB);
  EXPECT_EQ(*parse_bytes("1.5GiB"), 1536_MiB);
  EXPECT_EQ(*parse_bytes("2MB"), 2_MiB);
  for (const char* wrong : {"", "G", "8Q", "8GG", "-1", "8 G", "nan", "1e300", "8GiBs"}) {
    EXPECT_FALSE(parse_bytes(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace hearth
