#include "engine/tokenizer/unigram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace hearth::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> ids_of(const UnigramOptions& options, std::string_view word) {
  std::vector<int32_t> ids;
  Unigram(options).encode(word, ids);
  return ids;
}

TEST(Unigram, TakesTheTokensOfTheHighestSum) {
  const UnigramOptions options{.tokens = {{"a", 0, -1},
                                          {"b", 1, -1},
                                          {"c", 2, -1},
                                          {"ab", 3, -1.5},
                                          {"bc", 4, -1.4},
                                          {"abc", 5, -2.6}},
                               .unknown_score = -20};
  EXPECT_THAT(ids_of(options, "ab"), ElementsAre(3));
  EXPECT_THAT(ids_of(options, "abc"), ElementsAre(0, 4));  // -2.4 is above -2.5 and -2.6
  EXPECT_THAT(ids_of(options, "cab"), ElementsAre(2, 3));
  EXPECT_THAT(ids_of(options, ""), IsEmpty());
}

TEST(Unigram, UnknownCharactersAreFusedOrWrittenInBytes) {
  UnigramOptions options{
      .tokens = {{"a", 1, -1}, {"xa", 2, -1}}, .unknown_score = -11, .unknown_id = 0};
  EXPECT_THAT(ids_of(options, "xxxaa"), ElementsAre(0, 2, 1));
  EXPECT_THAT(ids_of(options, "x\u00e9a\u00e9"), ElementsAre(0, 1, 0));
  options.byte_ids.fill(-1);
  options.byte_fallback = true;
  options.byte_ids[0xc3] = 7;
  EXPECT_THAT(ids_of(options, "\u00e9"), ElementsAre(0));  // its other byte has no token
  options.byte_ids[0xa9] = 8;
  EXPECT_THAT(ids_of(options, "a\u00e9\u00e9"), ElementsAre(1, 7, 8, 7, 8));
  options.unknown_id = -1;
  EXPECT_THAT(ids_of(options, "axa"), ElementsAre(1, 2));
  EXPECT_THAT(ids_of(options, "axx"), ElementsAre(1));
}

// The highest sum of all ways to cut a word.
double best_sum(const UnigramOptions& options, std::string_view word) {
  if (word.empty()) return 0;
  double best = -1e9;
  for (const UnigramToken& token : options.tokens) {
    if (!word.starts_with(token.text)) continue;
    best = std::max(best, token.score + best_sum(options, word.substr(token.text.size())));
  }
  return best;
}

TEST(Unigram, FollowsItsDefinition) {
  std::mt19937 random(7);
  const std::vector<std::string> texts = {"a", "b", "c", "ab", "ba", "aab", "bbc", "cab", "abcab"};
  for (int round = 0; round < 200; ++round) {
    UnigramOptions options{.unknown_score = -100};
    for (const std::string& text : texts) {
      const auto id = static_cast<int32_t>(options.tokens.size());
      options.tokens.push_back({text, id, -static_cast<double>(random() % 1000) / 100});
    }
    std::string word;
    for (int i = 0; i < 12; ++i) word += static_cast<char>('a' + random() % 3);
    double sum = 0;
    std::string written;
    for (const int32_t id : ids_of(options, word)) {
      sum += options.tokens[static_cast<size_t>(id)].score;
      written += options.tokens[static_cast<size_t>(id)].text;
    }
    ASSERT_EQ(written, word);
    ASSERT_NEAR(sum, best_sum(options, word), 1e-9) << word;
  }
}

TEST(Unigram, AWordOfMillionsOfCharactersIsCut) {
  const UnigramOptions options{.tokens = {{"a", 0, -1}, {"aa", 1, -1.5}, {"b", 2, -1}},
                               .unknown_score = -20,
                               .unknown_id = 3};
  std::string word;
  for (int i = 0; i < 1 << 20; ++i) word += i % 2 == 0 ? "aab" : "\u00e9";
  std::vector<int32_t> ids;
  const Unigram unigram(options);
  unigram.encode(word, ids);
  EXPECT_EQ(ids.size(), size_t{3} << 19);
  ids.clear();
  unigram.encode(std::string(8 << 20, 'a'), ids);
  EXPECT_EQ(ids.size(), size_t{4} << 20);
}

}  // namespace
}  // namespace hearth::engine
