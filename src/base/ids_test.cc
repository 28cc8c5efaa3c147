#include "base/ids.h"

#include <gtest/gtest.h>

#include <set>

namespace hearth {
namespace {

TEST(Ids, RandomHexHasTheLengthAskedAndDoesNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(random_hex(8));
  EXPECT_EQ(seen.size(), 100u);
  for (const std::string& text : seen) {
    EXPECT_EQ(text.size(), 16u);
    EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), std::string::npos);
  }
}

TEST(Ids, AreOrderedAndBrief) {
  EXPECT_LT(DeviceId("aa"), DeviceId("b"));
  EXPECT_EQ(DeviceId("0123456789").brief(), "01234567");
  EXPECT_TRUE(DeviceId().empty());
}

}  // namespace
}  // namespace hearth
