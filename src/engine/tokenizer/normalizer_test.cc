#include "engine/tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

std::string normalized(NormalForm form, std::string_view text) {
  return to_normal_form(form, text);
}

TEST(Normalizer, Forms) {
  const std::string text = "e\u0301 \ufb01 \u00e9 \uac00";
  EXPECT_EQ(normalized(NormalForm::kNfc, text), "\u00e9 \ufb01 \u00e9 \uac00");
  EXPECT_EQ(normalized(NormalForm::kNfd, text), "e\u0301 \ufb01 e\u0301 \u1100\u1161");
  EXPECT_EQ(normalized(NormalForm::kNfkc, text), "\u00e9 fi \u00e9 \uac00");
  EXPECT_EQ(normalized(NormalForm::kNfkd, text), "e\u0301 fi e\u0301 \u1100\u1161");
  EXPECT_EQ(Normalizer({NormalForm::kNfkd, NormalForm::kNfc}).normalize(text),
            "\u00e9 fi \u00e9 \uac00");
  EXPECT_EQ(Normalizer().normalize(text), text);
  EXPECT_EQ(normalized(NormalForm::kNfc, ""), "");
}

std::string apply(const NormalizerStep& step, std::string_view text) {
  return Normalizer({step}).normalize(text);
}

TEST(Normalizer, Steps) {
  EXPECT_EQ(apply(normalizing::Lowercase{}, "A\u00c9\u03a3\u0130"), "a\u00e9\u03c3i\u0307");
  EXPECT_EQ(apply(normalizing::StripMarks{}, "e\u0301a\u093e\u00e9"), "ea\u00e9");
  EXPECT_EQ(apply(normalizing::Nmt{}, "a\x01\tb\u200bc\x7f"), "a b c");
  EXPECT_EQ(apply(normalizing::StripSpace{}, " \u3000a b\n"), "a b");
  EXPECT_EQ(apply(normalizing::StripSpace{.left = false}, " a "), " a");
  EXPECT_EQ(apply(normalizing::StripSpace{.right = false}, " a "), "a ");
  EXPECT_EQ(apply(normalizing::Prepend{"_"}, "a"), "_a");
  EXPECT_EQ(apply(normalizing::Prepend{"_"}, ""), "");
  EXPECT_EQ(apply(normalizing::ReplaceText{"ab", "\u2581"}, "ababa"), "\u2581\u2581a");
  const auto pattern = Pattern::compile("x*", "test");
  ASSERT_TRUE(pattern.ok());
  EXPECT_EQ(apply(normalizing::ReplacePattern{*pattern, "-"}, "axx\u00e9"), "-a-\u00e9-");
  EXPECT_EQ(
      Normalizer({normalizing::Prepend{" "}, normalizing::ReplaceText{" ", "_"}}).normalize("a b"),
      "_a_b");
}

// Each step may double a text; sixty of them would fill any memory.
TEST(Normalizer, GrowthIsBounded) {
  const std::vector<NormalizerStep> steps(60, normalizing::ReplaceText{"a", "aa"});
  EXPECT_LT(Normalizer(steps).normalize(std::string(1000, 'a')).size(), 200'000u);
}

// Long runs of marks are sorted before ICU sees them, and come out as if they had not been.
TEST(Normalizer, LongRunsOfMarksAreOrdered) {
  std::string above;  // class 230
  std::string below;  // class 220
  std::string mixed;
  for (int i = 0; i < 100; ++i) {
    above += "\u0301\u0302";
    below += "\u0323";
    mixed += "\u0301\u0302\u0323";
  }
  for (const auto form : {NormalForm::kNfc, NormalForm::kNfkc}) {
    // e with dot below exists; the acute above it does not, and blocks what follows.
    std::string rest = below.substr(2);
    EXPECT_EQ(normalized(form, "e" + mixed + "x"), "\u1eb9" + rest + above + "x");
  }
  EXPECT_EQ(normalized(NormalForm::kNfd, "e" + mixed), "e" + below + above);
  // Characters that are themselves of class 0 but decompose into marks.
  std::string tibetan;
  std::string sorted_tibetan;
  for (int i = 0; i < 100; ++i) tibetan += "\u0f73";
  for (int i = 0; i < 100; ++i) sorted_tibetan += "\u0f71";
  for (int i = 0; i < 100; ++i) sorted_tibetan += "\u0f72";
  EXPECT_EQ(normalized(NormalForm::kNfd, tibetan), sorted_tibetan);
}

TEST(Unicode, IllFormedPartsBecomeOneReplacementEach) {
  std::string storage;
  const auto valid = [&](std::string_view text) { return std::string(valid_utf8(text, storage)); };
  EXPECT_EQ(valid("plain \u00e9 \U0001f642"), "plain \u00e9 \U0001f642");
  EXPECT_EQ(valid("\xf1\x80\x80\xe1\x80\xc2"), "\ufffd\ufffd\ufffd");
  EXPECT_EQ(valid("\x80\xbf"), "\ufffd\ufffd");
  EXPECT_EQ(valid("\xc0\xaf"), "\ufffd\ufffd");
  EXPECT_EQ(valid("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");
  EXPECT_EQ(valid("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(valid("a\xe2\x82"), "a\ufffd");
}

}  // namespace
}  // namespace hearth::engine
