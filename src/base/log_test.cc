#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Log : public testing::Test {
 protected:
  ~Log() override { log::configure({}); }

  template <class F>
  std::string captured(F&& f) {
    testing::internal::CaptureStderr();
    f();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(Log, TextNamesLevelAndSource) {
  log::configure({.source = "runner 3f2a/1"});
  EXPECT_THAT(captured([] { log::warn("{} of {} layers", 3, 6); }),
              AllOf(HasSubstr("warn"), HasSubstr("[runner 3f2a/1] 3 of 6 layers\n")));
  EXPECT_THAT(captured([] { log::debug("quiet"); }), IsEmpty());
}

TEST_F(Log, JsonLinesEscapeTheirMessage) {
  log::configure({.level = log::Level::kDebug, .json = true});
  EXPECT_THAT(
      captured([] { log::debug("a \"b\"\\\n{}", "c"); }),
      AllOf(HasSubstr(R"("level":"debug")"), HasSubstr(R"("message":"a \"b\"\\\u000ac"})")));
}

}  // namespace
}  // namespace hearth
