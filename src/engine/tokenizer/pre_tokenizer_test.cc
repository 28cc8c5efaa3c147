#include "engine/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Words = std::vector<std::string>;

Pattern pattern(const std::string& regex) {
  auto compiled = Pattern::compile(regex, "test");
  EXPECT_TRUE(compiled.ok()) << compiled.error().message();
  return *compiled;
}

Words split(std::vector<PreTokenizerStep> steps, const std::string& text) {
  Words words;
  PreTokenizer(std::move(steps)).split(text, true, [&](std::string_view word) {
    words.emplace_back(word);
  });
  return words;
}

Words split_at_dashes(SplitBehavior behavior, const std::string& text, bool invert = false) {
  return split({Split{pattern("-"), behavior, invert}}, text);
}

TEST(PreTokenizer, Behaviors) {
  const std::string text = "the-final--countdown-";
  EXPECT_THAT(split_at_dashes(SplitBehavior::kIsolated, text),
              ElementsAre("the", "-", "final", "-", "-", "countdown", "-"));
  EXPECT_THAT(split_at_dashes(SplitBehavior::kRemoved, text),
              ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split_at_dashes(SplitBehavior::kContiguous, text),
              ElementsAre("the", "-", "final", "--", "countdown", "-"));
  EXPECT_THAT(split_at_dashes(SplitBehavior::kMergedWithPrevious, text),
              ElementsAre("the-", "final-", "-", "countdown-"));
  EXPECT_THAT(split_at_dashes(SplitBehavior::kMergedWithNext, text),
              ElementsAre("the", "-final", "-", "-countdown", "-"));
}

TEST(PreTokenizer, Inverted) {
  EXPECT_THAT(split_at_dashes(SplitBehavior::kRemoved, "a-b--c", true), ElementsAre("-", "-", "-"));
  EXPECT_THAT(split_at_dashes(SplitBehavior::kMergedWithPrevious, "a-b-c", true),
              ElementsAre("a", "-b", "-c"));
}

TEST(PreTokenizer, StepsFollowEachOther) {
  EXPECT_THAT(split({Split{pattern(R"(\p{N})")}, Split{pattern("b+")}}, "ab1bbc2"),
              ElementsAre("a", "b", "1", "bb", "c", "2"));
  EXPECT_THAT(split({PrefixSpace{}, Split{pattern(" ")}}, "a"), ElementsAre(" ", "a"));
  EXPECT_THAT(split({PrefixSpace{}}, " a"), ElementsAre(" a"));
  EXPECT_THAT(split({PrefixSpace{}}, ""), IsEmpty());
}

TEST(PreTokenizer, LookaheadsEndWithThePiece) {
  EXPECT_THAT(split({Split{pattern("x")}, Split{pattern(R"(\s+(?!\S))")}}, "a  xb"),
              ElementsAre("a", "  ", "x", "b"));
}

TEST(PreTokenizer, EmptyMatchesMakeProgress) {
  EXPECT_THAT(split({Split{pattern("b*")}}, "a\u00e9bbc"), ElementsAre("a", "\u00e9", "bb", "c"));
}

Words marked(Metaspace metaspace, const std::string& text, bool first = true) {
  Words words;
  metaspace.mark = "_";
  PreTokenizer({metaspace}).split(text, first, [&](std::string_view word) {
    words.emplace_back(word);
  });
  return words;
}

TEST(PreTokenizer, MetaspaceMarksSpaces) {
  EXPECT_THAT(marked({}, "a  b"), ElementsAre("_a", "_", "_b"));
  EXPECT_THAT(marked({}, " a"), ElementsAre("_a"));
  EXPECT_THAT(marked({}, "_a"), ElementsAre("_a"));
  EXPECT_THAT(marked({.split = false}, "a b "), ElementsAre("_a_b_"));
  EXPECT_THAT(marked({.prepend = PrependScheme::kNever}, "a b"), ElementsAre("a", "_b"));
  EXPECT_THAT(marked({.prepend = PrependScheme::kFirst}, "a b"), ElementsAre("_a", "_b"));
  EXPECT_THAT(marked({.prepend = PrependScheme::kFirst}, "a b", false), ElementsAre("a", "_b"));
  EXPECT_THAT(marked({}, ""), IsEmpty());
}

TEST(PreTokenizer, OnlyThePieceThatTheTextBeginsWithIsFirst) {
  const Metaspace first{.mark = "_", .prepend = PrependScheme::kFirst};
  EXPECT_THAT(split({Split{pattern("-")}, first}, "a-b"), ElementsAre("_a", "-", "b"));
  EXPECT_THAT(split({Split{pattern("-"), SplitBehavior::kRemoved}, first}, "-b"), ElementsAre("b"));
}

// One search may use 64 MiB: a run of millions of characters needs more where each is a group of
// its own. What lies behind such a run is cut as ever.
TEST(PreTokenizer, ARunTooLongForOneSearchIsCutInParts) {
  const std::string run(3 << 20, 'a');
  const Words words = split({Split{pattern("(?:(?=[a-z])[^b-z])+|-")}}, run + "--" + run);
  std::string joined;
  int dashes = 0;
  for (const std::string& word : words) {
    EXPECT_LE(word.size(), 1u << 16);
    dashes += word == "-" ? 1 : 0;
    joined += word;
  }
  EXPECT_EQ(dashes, 2);
  EXPECT_TRUE(joined == run + "--" + run);
}

TEST(Pattern, WhiteSpaceIsUnicodes) {
  const Pattern space = pattern(R"(\s)");
  const Pattern in_set = pattern(R"([\sx])");
  const Pattern outside = pattern(R"(\S)");
  for (const std::string c : {"\t", "\v", "\u0085", "\u00a0", "\u1680", "\u2028", "\u3000"}) {
    EXPECT_TRUE(space.find(c, 0).has_value()) << c;
    EXPECT_TRUE(in_set.find(c, 0).has_value()) << c;
    EXPECT_FALSE(outside.find(c, 0).has_value()) << c;
  }
  for (const std::string c : {"\u180e", "\u200b", "a"}) {
    EXPECT_FALSE(space.find(c, 0).has_value()) << c;
    EXPECT_FALSE(in_set.find(c, 0).has_value()) << c;
    EXPECT_TRUE(outside.find(c, 0).has_value()) << c;
  }
}

TEST(Pattern, WhatWouldBeReadDifferentlyIsRefused) {
  for (const char* regex : {R"(\h)", R"([\h])", "a{1,2}+", "(", "[a", "\\"}) {
    const auto compiled = Pattern::compile(regex, "tokenizer.json");
    ASSERT_FALSE(compiled.ok()) << regex;
    EXPECT_EQ(compiled.error().code(), Code::kUnsupported);
    EXPECT_THAT(compiled.error().message(), HasSubstr("tokenizer.json"));
  }
  for (const char* regex :
       {R"(\p{L}+)", "[[:alpha:]x]", R"([^\[\]&]++)", "[]a]", R"([^\s\p{L}]?+)", R"(\x{41}+)"}) {
    EXPECT_TRUE(Pattern::compile(regex, "t").ok()) << regex;
  }
}

TEST(Pattern, SetsMayHoldSetsAndBeIntersected) {
  const auto matches = [](const std::string& regex) {
    const Pattern compiled = pattern(regex);
    std::string found;
    for (const char c : std::string("abcdxyz12 -&")) {
      if (compiled.find(std::string(1, c), 0)) found += c;
    }
    return found;
  };
  EXPECT_EQ(matches("[a[bc]]"), "abc");
  EXPECT_EQ(matches("[^a[bc]]"), "dxyz12 -&");
  EXPECT_EQ(matches("[a-d&&[^bc]]"), "ad");
  EXPECT_EQ(matches("[^a-d&&[^bc]]"), "bcxyz12 -&");
  EXPECT_EQ(matches(R"([\S&&\w&&[^\d]])"), "abcdxyz");
  EXPECT_EQ(matches(R"([\S])"), "abcdxyz12-&");
  EXPECT_EQ(matches("[[a][b][c&&[d]]]"), "ab");
  EXPECT_EQ(matches("[&]"), "&");
}

TEST(Pattern, LinesHaveStartsAndEnds) { EXPECT_EQ(pattern("^b$").find("a\nb\nc", 0)->begin, 2u); }

TEST(Pattern, LiteralsAreNotPatterns) {
  const auto literal = Pattern::literal("a.c(", "t");
  ASSERT_TRUE(literal.ok());
  EXPECT_FALSE(literal->find("abc(", 0).has_value());
  EXPECT_EQ(literal->find("xa.c(", 0)->begin, 1u);
}

// A pattern that backtracks without end gives up.
TEST(Pattern, CatastrophicPatternsGiveUp) {
  EXPECT_TRUE(pattern("(a|aa)*[bc]").search(std::string(5000, 'a'), 0).gave_up);
  EXPECT_FALSE(pattern("b").search("a", 0).gave_up);
}

}  // namespace
}  // namespace hearth::engine
