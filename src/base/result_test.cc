#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace hearth {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error(Code::kInvalidArgument, "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  HEARTH_TRY(const int once, half(n));
  HEARTH_TRY(const int twice, half(once));
  return twice;
}

Result<void> even(int n) {
  HEARTH_RETURN_IF_ERROR(half(n));
  return {};
}

TEST(Result, CarriesValueOrError) {
  EXPECT_EQ(*quarter(12), 3);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(even(2).ok());
  EXPECT_EQ(even(3).error().message(), "odd");
  EXPECT_EQ(quarter(3).value_or(7), 7);
}

TEST(Result, HoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, ContextNamesWhereFromTheOutside) {
  const Error error =
      Error(Code::kCorrupt, "truncated at byte 12").context("a.gguf").context("ember");
  EXPECT_EQ(error.message(), "ember: a.gguf: truncated at byte 12");
  EXPECT_EQ(error.code(), Code::kCorrupt);
}

TEST(ResultDeathTest, ValueOfAFailureIsABug) { EXPECT_DEATH(static_cast<void>(*half(1)), "odd"); }

}  // namespace
}  // namespace hearth
