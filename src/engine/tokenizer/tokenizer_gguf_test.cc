#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/tokenizer/tokenizer_cases.h"
#include "engine/tokenizer/unicode_forms.h"

namespace hearth::engine {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The same tokenizer as GGUF metadata.
std::string as_gguf(const std::string& name, const std::string& pre) {
  const json document = json::parse(read_file(folder_of(name) + "/tokenizer.json"));
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  const auto put = [&](const std::string& token, size_t id, int32_t type) {
    tokens.resize(std::max(tokens.size(), id + 1));
    types.resize(tokens.size(), 5);  // unused
    tokens[id] = token;
    types[id] = type;
  };
  for (const auto& [token, id] : document["model"]["vocab"].items()) put(token, id, 1);
  for (const json& added : document["added_tokens"]) put(added["content"], added["id"], 3);
  std::vector<std::string> merges;
  for (const json& merge : document["model"]["merges"]) {
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  GgufBuilder builder;
  builder.add_text("tokenizer.ggml.model", "gpt2");
  builder.add_text("tokenizer.ggml.pre", pre);
  builder.add_texts("tokenizer.ggml.tokens", tokens);
  builder.add_ints("tokenizer.ggml.token_type", types);
  builder.add_texts("tokenizer.ggml.merges", merges);
  builder.add_int("tokenizer.ggml.bos_token_id", 2048);
  if (name == "deepseek_v3") builder.add("tokenizer.ggml.add_bos_token", 7, "\x01");
  return builder.build();
}

class GgufTokenizer : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufTokenizer, SameAsFromTokenizerJson) {
  const std::map<std::string, std::string> families = {{"llama3", "llama-bpe"},
                                                       {"qwen2", "qwen2"},
                                                       {"deepseek_v3", "deepseek-v3"},
                                                       {"o200k", "gpt-4o"}};
  const TemporaryFolder folder;
  const auto tokenizer = load(folder.write("t.gguf", as_gguf(GetParam(), families.at(GetParam()))));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Families, GgufTokenizer,
                         ::testing::Values("llama3", "qwen2", "deepseek_v3", "o200k"),
                         [](const auto& info) { return info.param; });

// A SentencePiece model with the scores that make its merges those of a tokenizer.json: the n-th
// merge scores -n.
GgufBuilder sentencepiece_bpe() {
  const json document = json::parse(read_file(folder_of("sentencepiece_bpe") + "/tokenizer.json"));
  std::vector<std::string> tokens(document["model"]["vocab"].size());
  std::vector<int32_t> types(tokens.size(), 1);
  std::vector<float> scores(tokens.size(), -1e6f);
  for (const auto& [token, id] : document["model"]["vocab"].items()) {
    tokens[id] = token;
    if (token.starts_with("<0x")) types[id] = 6;
  }
  float rank = 0;
  for (const json& merge : document["model"]["merges"]) {
    const std::string result = merge[0].get<std::string>() + merge[1].get<std::string>();
    float& score = scores[document["model"]["vocab"][result].get<size_t>()];
    score = std::max(score, -++rank);
  }
  types[0] = 2;
  types[1] = types[2] = 3;
  GgufBuilder builder;
  builder.add_text("tokenizer.ggml.model", "llama");
  builder.add_texts("tokenizer.ggml.tokens", tokens);
  builder.add_ints("tokenizer.ggml.token_type", types);
  builder.add_floats("tokenizer.ggml.scores", scores);
  return builder;
}

TEST(GgufSentencePiece, SameAsFromTokenizerJson) {
  const TemporaryFolder folder;
  const auto tokenizer = load(folder.write("t.gguf", sentencepiece_bpe().build()));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, "sentencepiece_bpe");
}

TEST(GgufSentencePiece, OptionsAreTheFiles) {
  const TemporaryFolder folder;
  GgufBuilder builder = sentencepiece_bpe();
  builder.add("tokenizer.ggml.add_space_prefix", 7, std::string(1, '\0'));
  builder.add("tokenizer.ggml.add_bos_token", 7, std::string(1, '\0'));
  builder.add("tokenizer.ggml.add_eos_token", 7, "\x01");
  const auto tokenizer = load(folder.write("t.gguf", builder.build()));
  ASSERT_TRUE(tokenizer);
  const auto ids = tokenizer->encode("a a", true);
  EXPECT_EQ(ids.back(), 2);
  EXPECT_EQ(tokenizer->decode(ids, true), "a a");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" a", false), true), " a");
  EXPECT_EQ(tokenizer->bytes(ids[0], true), "a");
}

TEST(GgufSentencePiece, ScoresDecideWhatIsMerged) {
  const TemporaryFolder folder;
  GgufBuilder builder;
  builder.add_text("tokenizer.ggml.model", "llama");
  builder.add_texts("tokenizer.ggml.tokens",
                    {"<unk>", "a", "b", "ab", "ba", "<u>", "\u00e9a", "bab"});
  builder.add_ints("tokenizer.ggml.token_type", {2, 1, 1, 1, 1, 4, 1, 1});
  builder.add_floats("tokenizer.ggml.scores", {0, -9, -9, -2, -1, 0, -1, -3});
  builder.add("tokenizer.ggml.add_space_prefix", 7, std::string(1, '\0'));
  const auto tokenizer = load(folder.write("t.gguf", builder.build()));
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("aba", false), ElementsAre(1, 4));
  EXPECT_THAT(tokenizer->encode("baba", false), ElementsAre(4, 4));  // equal scores: leftmost first
  EXPECT_THAT(tokenizer->encode("bab", false), ElementsAre(7));
  EXPECT_THAT(tokenizer->encode("a<u>b", false), ElementsAre(1, 5, 2));
  // A character that is no token is part of one, or unknown.
  EXPECT_THAT(tokenizer->encode("\u00e9a\u00e9", false), ElementsAre(6, 0));
  EXPECT_THAT(tokenizer->encode("xya", false), ElementsAre(0, 1));
}

TEST(GgufSentencePiece, Phi3sTokensTakeTheSpaceBehindThem) {
  const TemporaryFolder folder;
  GgufBuilder builder = sentencepiece_bpe();
  const auto plain = load(folder.write("t.gguf", builder.build()));
  builder.add_text("general.architecture", "phi3");
  const auto phi = load(folder.write("phi.gguf", builder.build()));
  ASSERT_TRUE(plain && phi);
  EXPECT_EQ(phi->encode("</s>\n a", false), plain->encode("</s>a", false));
  EXPECT_EQ(phi->encode("<s>\n a", false), plain->encode("<s>\n a", false));
}

TEST(GgufSentencePiece, ProblemsAreNamed) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::vector<float>& scores, const std::string& token) {
    GgufBuilder builder;
    builder.add_text("tokenizer.ggml.model", "llama");
    builder.add_texts("tokenizer.ggml.tokens", {"<unk>", token});
    builder.add_ints("tokenizer.ggml.token_type", {2, 6});
    if (!scores.empty()) builder.add_floats("tokenizer.ggml.scores", scores);
    return error_of(folder.write("t.gguf", builder.build()), Code::kCorrupt);
  };
  EXPECT_THAT(refused({}, "a"), HasSubstr("tokenizer.ggml.scores"));
  EXPECT_THAT(refused({0}, "a"), HasSubstr("2 finite numbers"));
  EXPECT_THAT(refused({0, NAN}, "a"), HasSubstr("2 finite numbers"));
  EXPECT_THAT(refused({0, 0}, "a"), HasSubstr("<0x0A>"));
  EXPECT_THAT(refused({0, 0}, std::string(600, 'a')), HasSubstr("at most 512 bytes"));
}

GgufBuilder unigram() {
  const json document = json::parse(read_file(folder_of("unigram") + "/tokenizer.json"));
  std::vector<std::string> tokens;
  std::vector<float> scores;
  for (const json& pair : document["model"]["vocab"]) {
    tokens.push_back(pair[0]);
    scores.push_back(pair[1]);
  }
  std::vector<int32_t> types(tokens.size(), 1);
  types[0] = 2;
  types[1] = types[2] = 3;
  GgufBuilder builder;
  builder.add_text("tokenizer.ggml.model", "t5");
  builder.add_texts("tokenizer.ggml.tokens", tokens);
  builder.add_ints("tokenizer.ggml.token_type", types);
  builder.add_floats("tokenizer.ggml.scores", scores);
  builder.add("tokenizer.ggml.add_space_prefix", 7, "\x01");
  builder.add_int("tokenizer.ggml.eos_token_id", 2);
  return builder;
}

// SentencePiece puts its mark before any text, tokenizer.json's pre-tokenizer not before a space.
TEST(GgufUnigram, SameAsFromTokenizerJson) {
  const TemporaryFolder folder;
  const auto tokenizer = load(folder.write("t.gguf", unigram().build()));
  const auto reference = load(folder_of("unigram"));
  ASSERT_TRUE(tokenizer && reference);
  const json cases = json::parse(read_file(folder_of("unigram") + "/cases.json"));
  int compared = 0;
  for (const json& c : cases) {
    const std::string text = c["text"];
    const bool same_rules = !text.starts_with(' ') && !text.starts_with("\u2581") &&
                            to_normal_form(NormalForm::kNfkc, text) == text &&
                            text.find("<") == std::string::npos;
    if (!same_rules) continue;
    ++compared;
    EXPECT_EQ(tokenizer->encode(text, false), c["ids_no_special"].get<std::vector<int32_t>>())
        << text;
    auto with_end = c["ids_no_special"].get<std::vector<int32_t>>();
    with_end.push_back(2);
    EXPECT_EQ(tokenizer->encode(text, true), with_end) << text;
  }
  EXPECT_GT(compared, 100);
}

TEST(GgufUnigram, SpacesAreSquashedWhereTheFileSaysSo) {
  const TemporaryFolder folder;
  GgufBuilder builder = unigram();
  builder.add("tokenizer.ggml.remove_extra_whitespaces", 7, "\x01");
  const auto tokenizer = load(folder.write("t.gguf", builder.build()));
  ASSERT_TRUE(tokenizer);
  const auto ids = tokenizer->encode("a b", false);
  EXPECT_EQ(tokenizer->encode("  a    b ", false), ids);
  EXPECT_EQ(tokenizer->decode(ids, true), "a b");
  EXPECT_THAT(tokenizer->encode("   ", false), ::testing::IsEmpty());
}

TEST(GgufFileTokenizer, ProblemsAreNamed) {
  const TemporaryFolder folder;
  const auto refused = [&](const GgufBuilder& builder, Code code) {
    return error_of(folder.write("t.gguf", builder.build()), code);
  };
  GgufBuilder bare;
  EXPECT_THAT(refused(bare, Code::kNotFound), HasSubstr("no tokenizer"));
  GgufBuilder other;
  other.add_text("tokenizer.ggml.model", "bert");
  EXPECT_THAT(refused(other, Code::kUnsupported), HasSubstr("tokenizer.ggml.model bert"));
  GgufBuilder unknown;
  unknown.add_text("tokenizer.ggml.model", "gpt2");
  unknown.add_text("tokenizer.ggml.pre", "klingon");
  EXPECT_THAT(refused(unknown, Code::kUnsupported), HasSubstr("tokenizer.ggml.pre klingon"));
  GgufBuilder types;
  types.add_text("tokenizer.ggml.model", "gpt2");
  types.add_texts("tokenizer.ggml.tokens", {"a", "b"});
  types.add_ints("tokenizer.ggml.token_type", {1});
  EXPECT_THAT(refused(types, Code::kCorrupt), HasSubstr("token_type: expected 2 types"));
  GgufBuilder merges;
  merges.add_text("tokenizer.ggml.model", "gpt2");
  merges.add_texts("tokenizer.ggml.tokens", {"a", "b"});
  merges.add_texts("tokenizer.ggml.merges", {"ab"});
  EXPECT_THAT(refused(merges, Code::kCorrupt), HasSubstr("tokenizer.ggml.merges"));
}

TEST(GgufFileTokenizer, TokenTypesDecideWhatATokenIs) {
  const TemporaryFolder folder;
  GgufBuilder builder;
  builder.add_text("tokenizer.ggml.model", "gpt2");
  builder.add_text("tokenizer.ggml.pre", "gpt-2");
  builder.add_texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<c>", "<u>", "<unused>", "\u0120"});
  builder.add_ints("tokenizer.ggml.token_type", {1, 1, 1, 3, 4, 5, 1});
  builder.add_texts("tokenizer.ggml.merges", {"a b", "a a"});  // "aa" is no token
  builder.add_int("tokenizer.ggml.bos_token_id", 3);
  builder.add_int("tokenizer.ggml.eos_token_id", 4);
  builder.add("tokenizer.ggml.add_bos_token", 7, "\x01");
  builder.add("tokenizer.ggml.add_eos_token", 7, "\x01");
  const auto tokenizer = load(folder.write("t.gguf", builder.build()));
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("ab aa<c><u>", true), ElementsAre(3, 2, 6, 0, 0, 3, 4, 4));
  EXPECT_THAT(tokenizer->encode("<unused>", false), Not(Contains(5)));
  EXPECT_TRUE(tokenizer->is_special(3));
  EXPECT_FALSE(tokenizer->is_special(4));
  EXPECT_EQ(tokenizer->decode({3, 2, 6, 0, 4}, true), "ab a<u>");
}

TEST(GgufFileTokenizer, ReadsGoldenFile) {
  const auto tokenizer = load(golden("gguf/llama.gguf"));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->size(), 320);
  EXPECT_TRUE(tokenizer->is_special(1));
  const auto ids = tokenizer->encode("he<|special_2|>", true);  // add_bos_token is false
  EXPECT_EQ(tokenizer->decode(ids, false), "he<|special_2|>");
  EXPECT_EQ(ids.back(), 2);
}

}  // namespace
}  // namespace hearth::engine
