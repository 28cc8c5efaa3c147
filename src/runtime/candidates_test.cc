#include "runtime/candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace hearth::runtime {
namespace {

using testing::HasSubstr;

TEST(Candidates, ComeBackBehindTheOthers) {
  const auto bytes = encode({{{10, 1.5f}, {12, -INFINITY}}, {}, {{19, 3}}});
  CandidateLists lists = {{{3, 2}}, {{4, 1}}, {}};
  ASSERT_TRUE(append_candidates(bytes, 10, 20, &lists).ok());
  ASSERT_EQ(lists[0].size(), 3u);
  EXPECT_EQ(lists[0][0].id, 3);
  EXPECT_EQ(lists[0][1].id, 10);
  EXPECT_EQ(lists[0][1].logit, 1.5f);
  EXPECT_EQ(lists[0][2].logit, -INFINITY);
  EXPECT_EQ(lists[1].size(), 1u);
  ASSERT_EQ(lists[2].size(), 1u);
  EXPECT_EQ(lists[2][0].id, 19);
}

void refuse(std::span<const std::byte> bytes, size_t sequences, const char* why) {
  CandidateLists lists(sequences);
  const auto done = append_candidates(bytes, 10, 20, &lists);
  ASSERT_FALSE(done.ok()) << why;
  EXPECT_EQ(done.error().code(), Code::kCorrupt);
  EXPECT_THAT(done.error().message(), HasSubstr(why));
}

TEST(Candidates, BrokenOnesAreRefused) {
  refuse(encode({{{9, 1}}}), 1, "token 9");
  refuse(encode({{{20, 1}}}), 1, "token 20");
  refuse(encode({{{12, 1}, {12, 1}}}), 1, "token 12");
  refuse(encode({{{12, NAN}}}), 1, "no number");
  refuse(encode({{{12, 1}}}), 2, "too few lists");
  refuse(encode({{{12, 1}}, {}}), 1, "more than");
  const auto bytes = encode({{{12, 1}, {13, 1}}});
  for (size_t size = 4; size < bytes.size(); ++size) {
    refuse(std::span(bytes).first(size), 1, "too few in a list");
  }
  refuse(std::vector<std::byte>(4, std::byte{0xff}), 1, "too few in a list");
}

}  // namespace
}  // namespace hearth::runtime
