#include "engine/tokenizer/charsmap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "engine/formats/test_files.h"

namespace hearth::engine {
namespace {

using ::testing::HasSubstr;

using Rules = std::map<std::string, std::string>;

// Lays the rules out as a double array: a node's children are where its offset and their labels
// say.
class Builder {
 public:
  explicit Builder(const Rules& rules) : units_(1), taken_{true} {
    std::map<std::string, uint32_t> values;
    for (const auto& [from, to] : rules) {
      values[from] = static_cast<uint32_t>(replacements_.size());
      replacements_ += to + '\0';
    }
    place(0, "", values);
  }

  std::string blob() const {
    std::string array;
    for (const uint32_t unit : units_) array += little_endian(unit);
    return little_endian(static_cast<uint32_t>(array.size())) + array + replacements_;
  }

 private:
  void place(size_t node, const std::string& prefix,
             const std::map<std::string, uint32_t>& values) {
    std::map<uint8_t, std::string> children;  // label 0: the value
    for (const auto& [key, value] : values) {
      if (!key.starts_with(prefix)) continue;
      const auto label = key.size() == prefix.size() ? 0 : static_cast<uint8_t>(key[prefix.size()]);
      children[label] = key.substr(0, prefix.size() + 1);
    }
    uint32_t offset = 1;
    const auto slot = [&](uint8_t label) { return node ^ offset ^ label; };
    const auto is_free = [&](const auto& child) {
      const size_t at = slot(child.first);
      return at >= taken_.size() || !taken_[at];
    };
    // No two nodes may lay out their children from one place: a unit knows its label alone.
    while (places_.contains(node ^ offset) ||
           !std::all_of(children.begin(), children.end(), is_free)) {
      ++offset;
    }
    places_.insert(node ^ offset);
    units_[node] |= offset << 10 | (children.contains(0) ? 1u << 8 : 0);
    for (const auto& [label, key] : children) {
      const size_t at = slot(label);
      if (at >= units_.size()) units_.resize(at + 1);
      if (at >= taken_.size()) taken_.resize(at + 1);
      taken_[at] = true;
      units_[at] = label == 0 ? values.at(prefix) | 1u << 31 : label;
    }
    for (const auto& [label, key] : children) {
      if (label != 0) place(slot(label), key, values);
    }
  }

  std::vector<uint32_t> units_;
  std::vector<bool> taken_;
  std::set<size_t> places_;
  std::string replacements_;
};

const Rules kRules = {{"\u2122", "TM"}, {"\ufb01", "fi"}, {"e\u0301", "\u00e9"},
                      {"\t", " "},      {"\u00ad", ""},   {"a", "b"},
                      {"ab", "x"},      {"abc", "y"},     {"\u1100", "\u3131"}};

std::string normalized(CharsmapLookup lookup, const std::string& text) {
  const auto map = Charsmap::parse(Builder(kRules).blob(), lookup, "test");
  EXPECT_TRUE(map.ok());
  return map.ok() ? map->normalize(text) : "";
}

TEST(Charsmap, SentencePieceReplacesTheLongestMatch) {
  const auto apply = [](const std::string& text) {
    return normalized(CharsmapLookup::kLongestMatch, text);
  };
  EXPECT_EQ(apply("x\u2122 e\u0301\t\ufb01\u00ad!"), "xTM \u00e9 fi!");
  EXPECT_EQ(apply("abcabd"), "yxd");
  EXPECT_EQ(apply(""), "");
  EXPECT_EQ(apply(std::string("a\0a", 3)), std::string("b\0b", 3));
}

TEST(Charsmap, TokenizerJsonReplacesGraphemes) {
  const auto apply = [](const std::string& text) {
    return normalized(CharsmapLookup::kGraphemes, text);
  };
  EXPECT_EQ(apply("x\u2122 e\u0301\t\ufb01\u00ad!"), "xTM \u00e9 fi!");
  EXPECT_EQ(apply("abcabd"), "bbcbbd");  // each letter is a grapheme
  EXPECT_EQ(apply("a\u0302"), "b");      // the shortest match stands for all of it
  EXPECT_EQ(apply("a\u0302\u0301\u0303"), "b\u0302\u0301\u0303");  // too long to be looked up whole
  EXPECT_EQ(apply("\u1100\u1161"), "\u3131\u1161");
}

TEST(Charsmap, LongTextIsTheSameInParts) {
  std::string text;
  std::string expected;
  while (text.size() < 3 << 20) {
    text += "e\u0301\u2122x";
    expected += "\u00e9TMx";
  }
  EXPECT_TRUE(normalized(CharsmapLookup::kGraphemes, text) == expected);
  std::string marks = "e";
  while (marks.size() < 3 << 20) marks += "\u0302";
  EXPECT_TRUE(normalized(CharsmapLookup::kGraphemes, marks) == marks);
}

TEST(Charsmap, NothingMeansNothing) {
  const auto map = Charsmap::parse("", CharsmapLookup::kGraphemes, "test");
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->normalize("a"), "a");
}

TEST(Charsmap, DamageIsNamed) {
  const std::string good = Builder(kRules).blob();
  const auto refused = [](const std::string& blob) {
    const auto map = Charsmap::parse(blob, CharsmapLookup::kGraphemes, "file: key");
    EXPECT_FALSE(map.ok());
    return map.ok() ? "" : map.error().message();
  };
  EXPECT_THAT(refused("abc"), HasSubstr("file: key: expected at least 4 bytes"));
  EXPECT_THAT(refused(good.substr(0, 20)), HasSubstr("expected a multiple of 4 up to 16"));
  EXPECT_THAT(refused(little_endian<uint32_t>(0) + "\xff"), HasSubstr("UTF-8"));
  EXPECT_THAT(refused(little_endian<uint32_t>(0) + std::string(300, 'a')), HasSubstr("256 bytes"));
}

// Whatever the array says, a lookup ends and stays inside.
TEST(Charsmap, RandomArraysAreSafe) {
  std::mt19937 random(7);
  const std::string good = Builder(kRules).blob();
  for (int round = 0; round < 300; ++round) {
    std::string blob = good;
    for (int i = 0; i < 20; ++i)
      blob[4 + random() % (blob.size() - 4)] = static_cast<char>(random() % 128);
    for (const auto lookup : {CharsmapLookup::kGraphemes, CharsmapLookup::kLongestMatch}) {
      const auto map = Charsmap::parse(blob, lookup, "test");
      if (!map.ok()) continue;
      EXPECT_LT(map->normalize("abc e\u0301 \u2122 \ufb01").size(), 10'000u);
    }
  }
}

}  // namespace
}  // namespace hearth::engine
