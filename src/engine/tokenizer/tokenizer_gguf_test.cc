#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/tokenizer_cases.h"

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
