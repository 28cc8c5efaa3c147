#include "base/prompt_rows.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

TEST(PromptRowsTest, ChunksAreASmallPartOfAPromptInAPipelineOnly) {
  EXPECT_EQ(prompt_rows(100'000, 1, 512), 512);
  EXPECT_EQ(prompt_rows(4096, 2, 512), 256);
  EXPECT_EQ(prompt_rows(4096, 4, 512), 128);
  EXPECT_EQ(prompt_rows(100'000, 4, 512), 512);
  EXPECT_EQ(prompt_rows(10, 2, 512), 64);
  EXPECT_EQ(prompt_rows(4096, 2, 30), 30);
}

}  // namespace
}  // namespace hearth
