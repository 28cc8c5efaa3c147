#include "engine/tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/tokenizer/byte_level.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

using ::testing::ElementsAre;

// The definition, word for word: the lowest rank first, the leftmost of equals, until none applies.
void merge_by_definition(const BpeOptions& options, std::vector<int32_t>& symbols) {
  while (true) {
    const BpeMerge* best = nullptr;
    size_t best_at = 0;
    for (size_t at = 0; at + 1 < symbols.size(); ++at) {
      for (const BpeMerge& merge : options.merges) {
        if (merge.left != symbols[at] || merge.right != symbols[at + 1]) continue;
        if (best != nullptr && best->rank <= merge.rank) continue;
        best = &merge;
        best_at = at;
      }
    }
    if (best == nullptr) return;
    symbols[best_at] = best->result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

std::vector<int32_t> by_definition(const BpeOptions& options, std::string_view word) {
  std::vector<int32_t> symbols;
  for (const char c : word) symbols.push_back(options.byte_ids[static_cast<unsigned char>(c)]);
  merge_by_definition(options, symbols);
  return symbols;
}

BpeOptions bytes_are_ids() {
  BpeOptions options;
  for (int byte = 0; byte < 256; ++byte) options.byte_ids[static_cast<size_t>(byte)] = byte;
  return options;
}

TEST(Bpe, FollowsItsDefinitionForWordsOfAllLengths) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int32_t>(random() % n); };
  for (int round = 0; round < 30; ++round) {
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
    for (const int length : {0, 1, 2, 3, 10, 64, 127, 128, 129, 150, 300}) {
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

// Text is cut where no merge can reach across; what comes out is as if it had not been.
TEST(Bpe, CharactersAreMergedAsTheDefinitionSays) {
  const std::vector<std::string> characters = {"a", "b", "c", "\u00e9", "\u4e00"};
  std::mt19937 random(7);
  const auto any = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int round = 0; round < 40; ++round) {
    BpeOptions options{.unit = BpeUnit::kCharacter};
    std::vector<std::string> tokens(256);
    for (size_t byte = 0; byte < 256; ++byte) options.byte_ids[byte] = static_cast<int32_t>(byte);
    std::vector<int32_t> known;
    for (const std::string& character : characters) {  // the last has no token
      if (character == characters.back()) break;
      known.push_back(static_cast<int32_t>(tokens.size()));
      options.character_ids[first_character(character)] = known.back();
      tokens.push_back(character);
    }
    while (options.merges.size() < 12) {
      const int32_t left = known[any(known.size())];
      const int32_t right = known[any(known.size())];
      const std::string text =
          tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
      if (std::find(tokens.begin(), tokens.end(), text) != tokens.end()) continue;
      known.push_back(static_cast<int32_t>(tokens.size()));
      options.merges.push_back({left, right, known.back(), static_cast<int32_t>(any(6))});
      tokens.push_back(text);
    }
    const Bpe bpe(options, tokens);
    for (int length = 0; length < 200; length += 7) {
      std::string word;
      std::vector<int32_t> expected;
      for (int i = 0; i < length; ++i) {
        const std::string& character = characters[any(characters.size())];
        word += character;
        const auto found = options.character_ids.find(first_character(character));
        if (found != options.character_ids.end()) {
          expected.push_back(found->second);
        } else {
          for (const char c : character) expected.push_back(static_cast<uint8_t>(c));
        }
      }
      merge_by_definition(options, expected);
      std::vector<int32_t> ids;
      bpe.encode(word, ids);
      ASSERT_EQ(ids, expected) << word;
    }
  }
}

TEST(Bpe, CharactersThatAreOnlyPartsOfTokensMerge) {
  BpeOptions options{.unit = BpeUnit::kCharacter, .unknown_id = 0};
  options.character_ids = {{'a', 1}};
  options.parts = {U'x', U'\u00e9'};
  options.parts_begin = 4;
  options.merges = {{1, 4, 2, 0}, {5, 1, 3, 1}};
  const Bpe bpe(options, {"<unk>", "a", "ax", "\u00e9a"});
  std::vector<int32_t> ids;
  bpe.encode("ax\u00e9ax\u00e9", ids);
  EXPECT_THAT(ids, ElementsAre(2, 0, 2, 0));  // a x first; what is left of the parts is unknown
}

TEST(Bpe, AWordOfMillionsOfBytesIsMerged) {
  BpeOptions options = bytes_are_ids();
  int32_t last = 'a';
  for (int32_t rank = 0; rank < 10; ++rank) {  // a a, aa aa, ...
    options.merges.push_back({last, last, 300 + rank, rank});
    last = 300 + rank;
  }
  std::vector<int32_t> ids;
  Bpe(options).encode(std::string(8 << 20, 'a') + "aaa", ids);
  EXPECT_EQ(ids.size(), (8u << 20) / 1024 + 2);
  EXPECT_EQ(ids.front(), last);
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
