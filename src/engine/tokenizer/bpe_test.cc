#include "engine/tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/tokenizer/byte_level.h"

namespace hearth::engine {
namespace {

using ::testing::ElementsAre;

// The definition, word for word: the lowest rank first, the leftmost of equals, until none applies.
std::vector<int32_t> by_definition(const BpeOptions& options, std::string_view word) {
  std::vector<int32_t> symbols;
  for (const char c : word) symbols.push_back(options.byte_ids[static_cast<unsigned char>(c)]);
  while (true) {
    size_t best_rank = options.merges.size();
    size_t best_at = 0;
    for (size_t at = 0; at + 1 < symbols.size(); ++at) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        const BpeMerge& merge = options.merges[rank];
        if (merge.left == symbols[at] && merge.right == symbols[at + 1]) {
          best_rank = rank;
          best_at = at;
        }
      }
    }
    if (best_rank == options.merges.size()) return symbols;
    symbols[best_at] = options.merges[best_rank].result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

BpeOptions bytes_are_ids() {
  BpeOptions options;
  for (int byte = 0; byte < 256; ++byte) options.byte_ids[static_cast<size_t>(byte)] = byte;
  return options;
}

TEST(Bpe, FollowsItsDefinitionForWordsOfAllLengths) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int32_t>(random() % n); };
  for (int round = 0; round < 60; ++round) {
    BpeOptions options = bytes_are_ids();
    std::vector<int32_t> known = {'a', 'b', 'c'};
    while (options.merges.size() < 40) {
      const BpeMerge merge{known[static_cast<size_t>(below(static_cast<int>(known.size())))],
                           known[static_cast<size_t>(below(static_cast<int>(known.size())))],
                           300 + static_cast<int32_t>(options.merges.size()), 0};
      const bool twice = std::any_of(
          options.merges.begin(), options.merges.end(),
          [&](const BpeMerge& m) { return m.left == merge.left && m.right == merge.right; });
      if (twice) continue;
      options.merges.push_back(merge);
      known.push_back(merge.result);
    }
    std::shuffle(options.merges.begin(), options.merges.end(), random);
    for (size_t i = 0; i < options.merges.size(); ++i) {
      options.merges[i].rank = static_cast<int32_t>(i);
    }
    const Bpe bpe(options);
    for (const int length : {0, 1, 2, 3, 10, 31, 32, 33, 34, 64, 150}) {
      std::string word;
      for (int i = 0; i < length; ++i) word += static_cast<char>('a' + below(3));
      std::vector<int32_t> ids;
      bpe.encode(word, ids);
      ASSERT_EQ(ids, by_definition(options, word)) << word;
    }
  }
}

TEST(Bpe, AppendsToWhatIsThere) {
  BpeOptions options = bytes_are_ids();
  options.merges = {{'a', 'b', 300}};
  const Bpe bpe(options);
  std::vector<int32_t> ids = {1};
  bpe.encode("ab", ids);
  bpe.encode("ba", ids);
  EXPECT_THAT(ids, ElementsAre(1, 300, 'b', 'a'));
}

TEST(Bpe, WholeWordsComeBeforeMerges) {
  BpeOptions options = bytes_are_ids();
  options.merges = {{'a', 'b', 300}};
  options.whole_words = {{"abc", 400}};
  const Bpe bpe(options);
  std::vector<int32_t> ids;
  bpe.encode("abc", ids);
  bpe.encode("abca", ids);
  EXPECT_THAT(ids, ElementsAre(400, 300, 'c', 'a'));
}

TEST(ByteLevel, AlphabetIsGpt2s) {
  EXPECT_EQ(character_of_byte(' '), "\u0120");
  EXPECT_EQ(character_of_byte('\n'), "\u010a");
  EXPECT_EQ(character_of_byte('a'), "a");
  EXPECT_EQ(character_of_byte(0xe9), "\u00e9");
  EXPECT_EQ(character_of_byte(0xad), "\u0143");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string character = character_of_byte(static_cast<uint8_t>(byte));
    EXPECT_EQ(bytes_of_token(character), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(bytes_of_token("\u0120the"), " the");
  EXPECT_EQ(bytes_of_token("a b"), std::nullopt);
  EXPECT_EQ(bytes_of_token("\u2581a"), std::nullopt);
  EXPECT_EQ(bytes_of_token("\xc4"), std::nullopt);
}

}  // namespace
}  // namespace hearth::engine
