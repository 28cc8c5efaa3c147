#include "chat/stop_strings.h"

#include <gtest/gtest.h>

namespace hearth::chat {
namespace {

struct Outcome {
  std::string text;
  bool stopped = false;

  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << '"' << outcome.text << "\", " << (outcome.stopped ? "stopped" : "not stopped");
}

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings watch(stops);
  Outcome outcome;
  for (const std::string& piece : pieces) outcome.text += watch.push(piece);
  outcome.stopped = watch.stopped();
  outcome.text += watch.finish();
  return outcome;
}

// The same text in every possible cut must give the same outcome.
void expect(const std::vector<std::string>& stops, const std::string& text,
            const Outcome& outcome) {
  ASSERT_LE(text.size(), 12u);
  for (uint32_t mask = 0; mask < (1u << (text.size() - 1)); ++mask) {
    std::vector<std::string> pieces(1);
    for (size_t i = 0; i < text.size(); ++i) {
      pieces.back().push_back(text[i]);
      if ((mask >> i & 1) != 0) pieces.emplace_back();
    }
    ASSERT_EQ(run(stops, pieces), outcome) << "cut by " << mask;
  }
}

TEST(StopStrings, TheStopStringAndWhatFollowsAreNeverShown) {
  expect({"END"}, "abENDcd", {"ab", true});
  expect({"END"}, "ENDabc", {"", true});
  expect({"\n\n"}, "a\nb\n\nc", {"a\nb", true});
}

TEST(StopStrings, TextThatOnlyLookedLikeAStopIsShownWhole) {
  expect({"END"}, "abENcd", {"abENcd", false});
  expect({"END"}, "abEN", {"abEN", false});
  expect({"aab"}, "aaaac", {"aaaac", false});
}

TEST(StopStrings, AStopThatOverlapsItsOwnBeginningIsFound) {
  expect({"aab"}, "xaaaab", {"xaa", true});
  expect({"abab c"}, "ababab c", {"ab", true});
}

TEST(StopStrings, TheStopThatIsCompleteFirstWinsInAnyCut) {
  expect({"abcd", "bc"}, "xabcd", {"xa", true});
  expect({"bc", "abc"}, "xabcd", {"x", true});  // both end together: the longest
  expect({"zz", "b"}, "abzz", {"a", true});
  expect({"a", "ab"}, "xab", {"x", true});
}

TEST(StopStrings, OnlyWhatMightStillMatchIsHeldBack) {
  StopStrings watch({"</s>", "<end>"});
  EXPECT_EQ(watch.push("hello <"), "hello ");
  EXPECT_EQ(watch.push("e"), "");
  EXPECT_EQ(watch.push("x<"), "<ex");
  EXPECT_EQ(watch.push("b"), "<b");
  EXPECT_EQ(watch.finish(), "");
}

TEST(StopStrings, NothingIsShownOnceStopped) {
  StopStrings watch({"."});
  EXPECT_EQ(watch.push("one. two"), "one");
  EXPECT_TRUE(watch.stopped());
  EXPECT_EQ(watch.push(" three"), "");
  EXPECT_EQ(watch.finish(), "");
}

TEST(StopStrings, EmptyStopsAreIgnored) {
  StopStrings watch({"", ""});
  EXPECT_EQ(watch.push("abc"), "abc");
  EXPECT_FALSE(watch.stopped());
}

TEST(StopStrings, HeldTextIsCutBetweenCharacters) {
  StopStrings watch({"é!"});
  EXPECT_EQ(watch.push("aé"), "a");
  EXPECT_EQ(watch.push("?"), "é?");
}

}  // namespace
}  // namespace hearth::chat
