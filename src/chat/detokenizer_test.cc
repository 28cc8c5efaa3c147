#include "chat/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "chat/utf8.h"
#include "engine/tokenizer.h"

namespace hearth::chat {
namespace {

// Tokens of chosen bytes: the stream's worst cases do not depend on any model's vocabulary. The
// last id is special.
class ByteTokenizer final : public engine::Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  std::vector<int32_t> encode(std::string_view, bool) const override { return {}; }
  std::string bytes(int32_t id, bool skip_special) const override {
    if (is_special(id)) return skip_special ? "" : "<|end|>";
    return id >= 0 && id < size() ? tokens_[static_cast<size_t>(id)] : "";
  }
  // A text does not begin with a space.
  std::string first_bytes(int32_t id, bool skip_special) const override {
    const std::string all = bytes(id, skip_special);
    return all.starts_with(' ') ? all.substr(1) : all;
  }
  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const override {
    std::string all;
    bool first = true;
    for (const int32_t id : ids) {
      if (id < 0 || id >= size() || (skip_special && is_special(id))) continue;
      all += first ? first_bytes(id, skip_special) : bytes(id, skip_special);
      first = false;
    }
    return to_valid_utf8(all);
  }
  std::optional<int32_t> id_of(std::string_view) const override { return std::nullopt; }
  bool is_special(int32_t id) const override { return id == size() - 1; }
  int size() const override { return static_cast<int>(tokens_.size()) + 1; }
  std::string_view kind() const override { return "bytes"; }

 private:
  std::vector<std::string> tokens_;
};

ByteTokenizer every_byte() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  return ByteTokenizer(std::move(tokens));
}

bool is_valid(std::string_view text) { return to_valid_utf8(text) == text; }

// Pushes all ids, checking every piece; returns the whole.
std::string stream(const engine::Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  StreamDetokenizer detokenizer(tokenizer);
  std::string all;
  for (const int32_t id : ids) {
    const std::string piece = detokenizer.push(id);
    EXPECT_TRUE(is_valid(piece));
    all += piece;
  }
  const std::string rest = detokenizer.finish();
  EXPECT_TRUE(is_valid(rest));
  EXPECT_EQ(detokenizer.finish(), "");
  return all + rest;
}

TEST(StreamDetokenizer, EverySplitOfMultiByteCharactersGivesTheSameText) {
  const std::string text = "aé€😀z";
  const size_t cuts = text.size() - 1;
  for (uint32_t mask = 0; mask < (1u << cuts); ++mask) {
    std::vector<std::string> tokens(1);
    for (size_t i = 0; i < text.size(); ++i) {
      tokens.back().push_back(text[i]);
      if (i < cuts && (mask >> i & 1) != 0) tokens.emplace_back();
    }
    std::vector<int32_t> ids(tokens.size());
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
    ASSERT_EQ(stream(ByteTokenizer(tokens), ids), text) << mask;
  }
}

TEST(StreamDetokenizer, ACharacterAppearsWithItsLastByteAndNotLater) {
  const ByteTokenizer tokenizer = every_byte();
  StreamDetokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(0xF0), "");
  EXPECT_EQ(detokenizer.push(0x9F), "");
  EXPECT_EQ(detokenizer.push(0x98), "");
  EXPECT_EQ(detokenizer.push(0x80), "😀");
  EXPECT_EQ(detokenizer.push('a'), "a");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(StreamDetokenizer, BytesThatCannotCompleteBecomeReplacementCharactersAtOnce) {
  const ByteTokenizer tokenizer = every_byte();
  StreamDetokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(0xFF), kReplacementCharacter);
  EXPECT_EQ(detokenizer.push(0xE2), "");
  EXPECT_EQ(detokenizer.push('x'), std::string(kReplacementCharacter) + "x");
  EXPECT_EQ(detokenizer.push(0xC3), "");
  EXPECT_EQ(detokenizer.finish(), kReplacementCharacter);
}

TEST(StreamDetokenizer, SpecialAndUnknownTokensGiveNoTextAndDoNotDisturbACharacter) {
  const ByteTokenizer tokenizer = every_byte();
  EXPECT_EQ(stream(tokenizer, {0xC3, 256, 0xA9, 256, -1, 9999}), "é");
}

TEST(StreamDetokenizer, OnlyTheTextsFirstTokenLosesItsSpace) {
  const ByteTokenizer tokenizer({" a", " ", "b"});
  EXPECT_EQ(stream(tokenizer, {0, 0, 2}), "a ab");
  EXPECT_EQ(stream(tokenizer, {3, 3, 0, 0}), "a a");  // special tokens are not part of the text
  EXPECT_EQ(stream(tokenizer, {1, 0}), " a");
  EXPECT_EQ(stream(tokenizer, {2, 0}), "b a");
}

TEST(StreamDetokenizer, RandomBytesGiveTheSameTextAsDecodingThemAtOnce) {
  const ByteTokenizer tokenizer = every_byte();
  std::mt19937 random(7);
  // Bytes that begin, continue and break characters are likelier than in uniform noise.
  const std::vector<int32_t> likely = {0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80,
                                       0xED, 0xA0, 0xF4, 0x90, 0xC3, 'a',  256};
  for (int round = 0; round < 500; ++round) {
    std::vector<int32_t> ids(random() % 40);
    for (int32_t& id : ids) {
      id = random() % 4 == 0 ? static_cast<int32_t>(random() % 257)
                             : likely[random() % likely.size()];
    }
    ASSERT_EQ(stream(tokenizer, ids), tokenizer.decode(ids, true));
  }
}

}  // namespace
}  // namespace hearth::chat
