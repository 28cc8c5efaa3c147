#include "engine/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/model_files.h"
#include "engine/tokenizer/tokenizer_cases.h"

namespace hearth::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kByteLevel[] = {"llama3", "qwen2", "deepseek_v3", "o200k"};
constexpr const char* kNames[] = {"llama3", "qwen2", "deepseek_v3", "o200k", "sentencepiece_bpe",
                                  "unigram"};

class GoldenTokenizer : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTokenizer, EveryCaseIsExact) {
  const auto tokenizer = load(folder_of(GetParam()));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenTokenizer, ::testing::ValuesIn(kNames),
                         [](const auto& info) { return info.param; });

TEST(Tokenizer, FindsSpecialTokensInText) {
  const auto tokenizer = load(folder_of("qwen2"));
  ASSERT_TRUE(tokenizer);
  const int32_t start = tokenizer->id_of("<|im_start|>").value();
  EXPECT_EQ(start, 2049);
  EXPECT_TRUE(tokenizer->is_special(start));
  EXPECT_FALSE(tokenizer->is_special(0));
  EXPECT_EQ(tokenizer->id_of("<|im_start"), std::nullopt);
  EXPECT_EQ(tokenizer->id_of("a"), std::nullopt);
  const auto ids = tokenizer->encode("<|im_start|>a<|im_end|>", false);
  EXPECT_THAT(ids, ElementsAre(2049, 64, 2050));
  EXPECT_EQ(tokenizer->decode(ids, false), "<|im_start|>a<|im_end|>");
  EXPECT_EQ(tokenizer->decode(ids, true), "a");
  EXPECT_EQ(tokenizer->bytes(start, true), "");
  EXPECT_EQ(tokenizer->bytes(start, false), "<|im_start|>");
}

TEST(Tokenizer, UnknownIdsGiveNothing) {
  const auto tokenizer = load(folder_of("qwen2"));
  ASSERT_TRUE(tokenizer);
  for (const int32_t id : {-1, INT32_MIN, tokenizer->size(), INT32_MAX}) {
    EXPECT_EQ(tokenizer->bytes(id, false), "");
    EXPECT_FALSE(tokenizer->is_special(id));
  }
  EXPECT_EQ(tokenizer->size(), 2053);
}

TEST(Tokenizer, InvalidUtf8IsReplaced) {
  for (const char* name : kByteLevel) {
    const auto tokenizer = load(folder_of(name));
    ASSERT_TRUE(tokenizer);
    const std::string bad = "a\xff\xf0\x9f\x92 b\xed\xa0\x80\xc3";
    const std::string good = "a\ufffd\ufffd b\ufffd\ufffd\ufffd\ufffd";
    EXPECT_EQ(tokenizer->encode(bad, true), tokenizer->encode(good, true));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(bad, false), true), good);
    // A character cut in two tokens is whole again when they are decoded together.
    const auto ids = tokenizer->encode("🙂", false);
    EXPECT_EQ(tokenizer->decode(ids, true), "🙂");
  }
}

TEST(Tokenizer, EveryByteSurvives) {
  std::string text;
  for (int c = 1; c < 0x3000; ++c) {
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else if (c < 0x800) {
      text += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
    } else {
      text += {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3f)),
               static_cast<char>(0x80 | (c & 0x3f))};
    }
  }
  text += std::string("\0x", 2);
  for (const char* name : {"llama3", "deepseek_v3", "o200k"}) {  // qwen2 normalises
    const auto tokenizer = load(folder_of(name));
    ASSERT_TRUE(tokenizer);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false), false), text) << name;
  }
}

// Texts that make careless tokenizers take quadratic time: within the suite's time limit they would
// not finish.
void encode_hostile_texts(const std::string& name, size_t bytes) {
  const auto repeat = [&](const std::string& unit, const std::string& prefix = "") {
    std::string text = prefix;
    while (text.size() < bytes) text += unit;
    return text;
  };
  const auto tokenizer = load(folder_of(name));
  ASSERT_TRUE(tokenizer);
  for (const std::string unit :
       {"a", "A", " ", "\n", "1", "<", "!", "\xff", "ab", "\u4e00", " \n", "<|im_start|", "\u0301",
        "\u0301\u0323", "\u0323\u0344", "\u0f73"}) {
    EXPECT_FALSE(tokenizer->encode(repeat(unit, "e"), false).empty()) << name << " " << unit;
  }
  EXPECT_FALSE(tokenizer->encode(repeat(" ") + "x", false).empty());
}

TEST(Tokenizer, LongHostileTextsAreLinear) {
  encode_hostile_texts("qwen2", 1 << 20);
  encode_hostile_texts("llama3", 1 << 18);
  encode_hostile_texts("deepseek_v3", 1 << 18);
  encode_hostile_texts("o200k", 1 << 18);
}

TEST(Tokenizer, ServesManyThreads) {
  const auto tokenizer = load(folder_of("o200k"));
  ASSERT_TRUE(tokenizer);
  const std::string text = read_file(folder_of("o200k") + "/cases.json");
  const auto expected = tokenizer->encode(text, true);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(tokenizer->encode(text, true), expected); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Tokenizer, EmberEndsWhereItsTokenizerSays) {
  const std::string ember = std::string(HEARTH_SOURCE_DIR) + "/models/ember";
  const auto tokenizer = load(ember);
  const auto files = ModelFiles::open(ember);
  ASSERT_TRUE(tokenizer && files.ok());
  EXPECT_THAT((*files)->spec().eos_ids, ElementsAre(tokenizer->id_of("<|im_end|>").value()));
  EXPECT_EQ((*files)->eos_token(), "<|im_end|>");
  EXPECT_EQ((*files)->spec().bos_id, -1);
  EXPECT_EQ((*files)->spec().vocab, tokenizer->size());
  EXPECT_THAT((*files)->chat_template(), HasSubstr("<|im_start|>"));
}

}  // namespace
}  // namespace hearth::engine
