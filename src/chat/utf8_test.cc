#include "chat/utf8.h"

#include <gtest/gtest.h>

namespace hearth::chat {
namespace {

TEST(Utf8, EveryCharacterSurvivesARoundTripAndNoStrictPrefixIsOne) {
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x900 ? 1 : 61) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string bytes;
    append_utf8(bytes, c);
    const Utf8Step step = read_utf8(bytes + "x");
    ASSERT_EQ(step.kind, Utf8::kCharacter) << std::hex << static_cast<uint32_t>(c);
    ASSERT_EQ(step.length, bytes.size());
    ASSERT_EQ(step.character, c);
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      ASSERT_EQ(read_utf8(bytes.substr(0, cut)).kind, Utf8::kUnfinished);
      ASSERT_EQ(read_utf8(bytes.substr(0, cut)).length, cut);
    }
  }
}

TEST(Utf8, WhatIsNoCharacterIsAppendedAsTheReplacementCharacter) {
  for (const char32_t c : {char32_t{0xD800}, char32_t{0xDFFF}, char32_t{0x110000}}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(text, kReplacementCharacter);
  }
}

// The expected texts are those of the Unicode standard's table 3-8 and of Python's
// bytes.decode("utf-8", "replace").
TEST(Utf8, EachMaximalSubpartBecomesOneReplacementCharacter) {
  const std::string r(kReplacementCharacter);
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"a\xFF"
       "b",
       "a" + r + "b"},
      {"\xC0\xAF", r + r},
      {"\xE0\x80\x80", r + r + r},
      {"\xED\xA0\x80", r + r + r},
      {"\xF4\x90\x80\x80", r + r + r + r},
      {"\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", r + r + r + "b" + r + "c" + r + r + "d"},
      {"\xE2\x82", r},
      {"\xF0\x9F\x98", r},
      {"ok \xF0\x9F\x98\x80", "ok \xF0\x9F\x98\x80"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(to_valid_utf8(bytes), text);
}

}  // namespace
}  // namespace hearth::chat
