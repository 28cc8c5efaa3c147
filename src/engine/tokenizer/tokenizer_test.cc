#include "engine/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "engine/formats/test_files.h"
#include "engine/model_files.h"

namespace hearth::engine {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kNames[] = {"llama3", "qwen2", "deepseek_v3", "o200k"};

std::string folder_of(const std::string& name) { return golden("tokenizers/" + name); }

std::unique_ptr<Tokenizer> load(const std::string& path) {
  auto tokenizer = Tokenizer::load(path);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

std::string error_of(const std::string& path, Code code) {
  const auto tokenizer = Tokenizer::load(path);
  EXPECT_FALSE(tokenizer.ok());
  if (tokenizer.ok()) return {};
  EXPECT_EQ(tokenizer.error().code(), code) << tokenizer.error().message();
  return tokenizer.error().message();
}

// The reference library's answers for a tokenizer of the family `name`.
void expect_cases(const Tokenizer& tokenizer, const std::string& name) {
  const json cases = json::parse(read_file(folder_of(name) + "/cases.json"));
  ASSERT_GT(cases.size(), 100u);
  for (const json& c : cases) {
    const std::string text = c["text"];
    EXPECT_EQ(tokenizer.encode(text, true), c["ids"].get<std::vector<int32_t>>()) << text;
    const auto ids = c["ids_no_special"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.encode(text, false), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids, false), c["decoded"].get<std::string>());
    std::string bytes;
    for (const int32_t id : ids) bytes += tokenizer.bytes(id, false);
    EXPECT_EQ(bytes, c["decoded"].get<std::string>()) << "token by token";
  }
}

class GoldenTokenizer : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTokenizer, EveryCaseIsExact) {
  const auto tokenizer = load(folder_of(GetParam()));
  ASSERT_TRUE(tokenizer);
  expect_cases(*tokenizer, GetParam());
}

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

TEST_P(GoldenTokenizer, GgufMetadataGivesTheSame) {
  const std::map<std::string, std::string> families = {{"llama3", "llama-bpe"},
                                                       {"qwen2", "qwen2"},
                                                       {"deepseek_v3", "deepseek-v3"},
                                                       {"o200k", "gpt-4o"}};
  const TemporaryFolder folder;
  const auto tokenizer = load(folder.write("t.gguf", as_gguf(GetParam(), families.at(GetParam()))));
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
  for (const char* name : kNames) {
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

TEST(Tokenizer, OtherKindsAreNamed) {
  const TemporaryFolder folder;
  const json good = json::parse(read_file(folder_of("qwen2") + "/tokenizer.json"));
  const auto refused = [&](const json& patch) {
    json document = good;
    document.merge_patch(patch);
    return error_of(folder.write("tokenizer.json", document.dump()), Code::kUnsupported);
  };
  EXPECT_THAT(refused({{"model", {{"type", "Unigram"}}}}), HasSubstr("type Unigram"));
  EXPECT_THAT(refused({{"model", {{"type", "WordPiece"}}}}), HasSubstr("type WordPiece"));
  EXPECT_THAT(refused({{"model", {{"byte_fallback", true}}}}), HasSubstr("byte_fallback"));
  EXPECT_THAT(refused({{"model", {{"end_of_word_suffix", "</w>"}}}}),
              HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(refused({{"normalizer", {{"type", "Lowercase"}}}}),
              AllOf(HasSubstr("normalizer"), HasSubstr("Lowercase")));
  EXPECT_THAT(refused({{"pre_tokenizer", {{"type", "Metaspace"}, {"pretokenizers", nullptr}}}}),
              HasSubstr("Metaspace"));
  EXPECT_THAT(refused({{"pre_tokenizer", nullptr}}), HasSubstr("without ByteLevel"));
  EXPECT_THAT(refused({{"post_processor", {{"type", "BertProcessing"}}}}),
              HasSubstr("BertProcessing"));
  EXPECT_THAT(refused({{"decoder", {{"type", "Metaspace"}}}}), HasSubstr("Metaspace"));
  EXPECT_THAT(refused({{"decoder", nullptr}}), HasSubstr("decoder"));
}

TEST(Tokenizer, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  const json good = json::parse(read_file(folder_of("qwen2") + "/tokenizer.json"));
  const auto refused = [&](const std::function<void(json&)>& edit) {
    json document = good;
    edit(document);
    return error_of(folder.write("tokenizer.json", document.dump()), Code::kCorrupt);
  };
  EXPECT_THAT(refused([](json& d) { d["model"]["vocab"]["x y"] = -1; }), HasSubstr("x y"));
  EXPECT_THAT(refused([](json& d) { d["model"]["vocab"]["x y"] = 1 << 30; }), HasSubstr("x y"));
  EXPECT_THAT(refused([](json& d) { d["model"]["vocab"]["x y"] = "1"; }), HasSubstr("x y"));
  EXPECT_THAT(refused([](json& d) { d["model"]["vocab"]["x y"] = 7; }),
              HasSubstr("both have id 7"));
  EXPECT_THAT(refused([](json& d) {
                d["model"]["merges"].push_back({"a", "\u00fe\u00fe"});
              }),
              HasSubstr("is no token"));
  EXPECT_THAT(refused([](json& d) { d["model"]["merges"].push_back("abc"); }), HasSubstr("merges"));
  EXPECT_THAT(refused([](json& d) { d["model"]["merges"].push_back({"a"}); }), HasSubstr("merges"));
  EXPECT_THAT(refused([](json& d) { d["model"].erase("vocab"); }), HasSubstr("vocab"));
  EXPECT_THAT(refused([](json& d) { d.erase("model"); }), HasSubstr("model"));
  EXPECT_THAT(refused([](json& d) { d["added_tokens"][0]["id"] = "x"; }), HasSubstr("id"));
  EXPECT_THAT(refused([](json& d) {
                d["post_processor"] = {
                    {"type", "TemplateProcessing"},
                    {"single", {{{"SpecialToken", {{"id", "B"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                    {"special_tokens", {{"B", {{"ids", {99999}}}}}}};
              }),
              HasSubstr("99999"));
  EXPECT_THAT(error_of(folder.write("t.json", std::string(1'000'000, '[')), Code::kCorrupt),
              HasSubstr("nesting"));
  EXPECT_THAT(error_of(folder.path() + "/none", Code::kNotFound), HasSubstr("none"));
  const TemporaryFolder empty;
  EXPECT_THAT(error_of(empty.path(), Code::kNotFound), HasSubstr("tokenizer.json"));
}

TEST(Tokenizer, GgufProblemsAreNamed) {
  const TemporaryFolder folder;
  const auto refused = [&](const GgufBuilder& builder, Code code) {
    return error_of(folder.write("t.gguf", builder.build()), code);
  };
  GgufBuilder bare;
  EXPECT_THAT(refused(bare, Code::kNotFound), HasSubstr("no tokenizer"));
  GgufBuilder other;
  other.add_text("tokenizer.ggml.model", "llama");
  EXPECT_THAT(refused(other, Code::kUnsupported), HasSubstr("tokenizer.ggml.model llama"));
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

TEST(Tokenizer, GgufTokenTypesDecideWhatATokenIs) {
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

TEST(Tokenizer, ReadsGoldenGguf) {
  const auto tokenizer = load(golden("gguf/llama.gguf"));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->size(), 320);
  EXPECT_TRUE(tokenizer->is_special(1));
  const auto ids = tokenizer->encode("he<|special_2|>", true);  // add_bos_token is false
  EXPECT_EQ(tokenizer->decode(ids, false), "he<|special_2|>");
  EXPECT_EQ(ids.back(), 2);
}

// A small tokenizer written for one property: bytes, "ab" and "abab", and the parts given.
class SmallTokenizer : public ::testing::Test {
 protected:
  SmallTokenizer() {
    document_ = json::parse(read_file(folder_of("qwen2") + "/tokenizer.json"));
    document_["normalizer"] = nullptr;
    document_["added_tokens"] = json::array();
    document_["model"]["merges"] = json::array();
  }
  std::unique_ptr<Tokenizer> make() { return load(folder_.write("t.json", document_.dump())); }
  // The words that the text is cut into, or single bytes where words have several tokens.
  std::vector<std::string> pieces(const std::string& text) {
    const auto tokenizer = make();
    std::vector<std::string> pieces;
    if (!tokenizer) return pieces;
    for (const int32_t id : tokenizer->encode(text, false)) {
      pieces.push_back(tokenizer->bytes(id, false));
    }
    return pieces;
  }
  void add_token(const json& token) { document_["added_tokens"].push_back(token); }

  TemporaryFolder folder_;
  json document_;
};

TEST_F(SmallTokenizer, AddedTokensTakeSpaceAsTheySay) {
  add_token({{"id", 3000}, {"content", "<l>"}, {"lstrip", true}, {"special", true}});
  add_token({{"id", 3001}, {"content", "<r>"}, {"rstrip", true}, {"special", true}});
  add_token({{"id", 3002}, {"content", "word"}, {"single_word", true}, {"special", true}});
  const auto tokenizer = make();
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("\t \u3000<l>", false), ElementsAre(3000));
  EXPECT_THAT(tokenizer->encode("<r> \u3000\n<l>", false), ElementsAre(3001, 3000));
  EXPECT_THAT(tokenizer->encode("<r> <r>", false), ElementsAre(3001, 3001));
  EXPECT_THAT(tokenizer->encode("word", false), ElementsAre(3002));
  EXPECT_EQ(tokenizer->encode("words", false).size(), 5u);
  EXPECT_EQ(tokenizer->encode("\u00e9word", false).size(), 6u);
  EXPECT_EQ(tokenizer->encode("_word", false).size(), 5u);
  EXPECT_THAT(tokenizer->encode("-word.", false), ElementsAre(12, 3002, 13));
}

TEST_F(SmallTokenizer, LongestAddedTokenWins) {
  add_token({{"id", 3000}, {"content", "<a"}, {"special", true}});
  add_token({{"id", 3001}, {"content", "<a><b>"}, {"special", true}});
  add_token({{"id", 3002}, {"content", "<a>"}, {"special", true}});
  const auto tokenizer = make();
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("<a><b>", false), ElementsAre(3001));
  EXPECT_THAT(tokenizer->encode("<a><b", false), ElementsAre(3002, 27, 65));
  EXPECT_THAT(tokenizer->encode("<a", false), ElementsAre(3000));
}

TEST_F(SmallTokenizer, NormalizedTokensAreFoundInNormalizedText) {
  document_["normalizer"] = {{"type", "NFKC"}};
  add_token({{"id", 3000}, {"content", "\ufb01n"}, {"normalized", true}});  // the ligature fi
  add_token({{"id", 3001}, {"content", "\ufb01t"}, {"normalized", false}});
  const auto tokenizer = make();
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("fin", false), ElementsAre(3000));
  EXPECT_THAT(tokenizer->encode("\ufb01n", false), ElementsAre(3000));
  EXPECT_EQ(tokenizer->encode("fit", false).size(), 3u);
  EXPECT_THAT(tokenizer->encode("\ufb01t", false), ElementsAre(3001));
  EXPECT_FALSE(tokenizer->is_special(3000));
}

TEST_F(SmallTokenizer, TemplateMaySurroundTheText) {
  add_token({{"id", 3000}, {"content", "<s>"}, {"special", true}});
  document_["post_processor"] = {{"type", "TemplateProcessing"},
                                 {"single",
                                  {{{"SpecialToken", {{"id", "<s>"}}}},
                                   {{"Sequence", {{"id", "A"}}}},
                                   {{"SpecialToken", {{"id", "<s>"}}}}}},
                                 {"special_tokens", {{"<s>", {{"ids", {3000, 3000}}}}}}};
  const auto tokenizer = make();
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("a", true), ElementsAre(3000, 3000, 64, 3000, 3000));
  EXPECT_THAT(tokenizer->encode("a", false), ElementsAre(64));
  EXPECT_THAT(tokenizer->encode("", false), IsEmpty());
}

TEST_F(SmallTokenizer, ByteLevelMayAddASpaceAndSplit) {
  document_["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}};
  document_["model"]["ignore_merges"] = true;
  document_["model"]["vocab"]["\u0120ab"] = 3000;
  document_["model"]["vocab"]["ab"] = 3001;
  EXPECT_THAT(pieces("ab ab1ab"), ElementsAre(" ab", " ab", "1", "ab"));
  EXPECT_THAT(pieces(" ab"), ElementsAre(" ab"));
}

TEST_F(SmallTokenizer, BytesWithoutATokenAreUnknownOrVanish) {
  document_["model"]["vocab"].erase("z");
  EXPECT_THAT(pieces("azza"), ElementsAre("a", "a"));
  document_["model"]["unk_token"] = "b";
  EXPECT_THAT(pieces("azza"), ElementsAre("a", "b", "b", "a"));
  document_["model"]["fuse_unk"] = true;
  EXPECT_THAT(pieces("azza"), ElementsAre("a", "b", "a"));
}

}  // namespace
}  // namespace hearth::engine
