#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/tokenizer_cases.h"

namespace hearth::engine {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Tokenizer, OtherKindsAreNamed) {
  const TemporaryFolder folder;
  const json good = json::parse(read_file(folder_of("qwen2") + "/tokenizer.json"));
  const auto refused = [&](const json& patch) {
    json document = good;
    document.merge_patch(patch);
    return error_of(folder.write("tokenizer.json", document.dump()), Code::kUnsupported);
  };
  EXPECT_THAT(refused({{"model", {{"type", "WordPiece"}}}}), HasSubstr("type WordPiece"));
  EXPECT_THAT(refused({{"model", {{"end_of_word_suffix", "</w>"}}}}),
              HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(refused({{"normalizer", {{"type", "BertNormalizer"}}}}),
              AllOf(HasSubstr("normalizer"), HasSubstr("BertNormalizer")));
  EXPECT_THAT(refused({{"pre_tokenizer", {{"type", "FixedLength"}, {"pretokenizers", nullptr}}}}),
              HasSubstr("FixedLength"));
  EXPECT_THAT(refused({{"post_processor", {{"type", "PairProcessing"}}}}),
              HasSubstr("PairProcessing"));
  EXPECT_THAT(refused({{"decoder", {{"type", "CTC"}}}}), HasSubstr("CTC"));
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
  EXPECT_THAT(refused([](json& d) { d["model"]["vocab"]["x y"] = 1 << 20; }), HasSubstr("x y"));
  EXPECT_THAT(refused([](json& d) { d["model"]["vocab"]["x y"] = "1"; }), HasSubstr("x y"));
  EXPECT_THAT(refused([](json& d) { d["model"]["vocab"]["x y"] = 7; }),
              HasSubstr("both have id 7"));
  EXPECT_THAT(refused([](json& d) {
                d["model"]["merges"].push_back({"a", "\u00fe\u00fe"});
              }),
              HasSubstr("is no token"));
  EXPECT_THAT(refused([](json& d) {
                d["added_tokens"].push_back({{"id", 4000}, {"content", "<x>"}});
                d["added_tokens"].push_back({{"id", 4000}, {"content", "<y>"}});
              }),
              HasSubstr("tokens <x> and <y> both have id 4000"));
  EXPECT_THAT(refused([](json& d) {
                d["added_tokens"].push_back({{"id", 7}, {"content", "<x>"}});
              }),
              HasSubstr("both have id 7"));
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

TEST(Tokenizer, OptionsOutOfBoundsAreRefused) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& name, const json& patch) {
    json document = json::parse(read_file(folder_of(name) + "/tokenizer.json"));
    document.merge_patch(patch);
    const auto tokenizer = Tokenizer::load(folder.write("t.json", document.dump()));
    EXPECT_FALSE(tokenizer.ok());
    return tokenizer.ok() ? "" : tokenizer.error().message();
  };
  const auto normalizer = [&](const json& value) {
    return refused("unigram", {{"normalizer", value}});
  };
  EXPECT_THAT(normalizer({{"type", "Prepend"}, {"prepend", std::string(100, 'x')}}),
              HasSubstr("key prepend: expected at most 64 bytes"));
  EXPECT_THAT(normalizer({{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "x"}}),
              HasSubstr("key String"));
  EXPECT_THAT(normalizer({{"type", "Precompiled"}, {"precompiled_charsmap", "!!!!"}}),
              HasSubstr("key precompiled_charsmap: expected base64"));
  EXPECT_THAT(normalizer({{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}}),
              HasSubstr("precompiled_charsmap: expected at least 4 bytes"));
  json many = {{"type", "Sequence"}, {"normalizers", json::array()}};
  for (int i = 0; i < 100; ++i) many["normalizers"].push_back({{"type", "NFC"}});
  EXPECT_THAT(normalizer(many), HasSubstr("at most 64 steps"));
  json deep = {{"type", "NFC"}};
  for (int i = 0; i < 40; ++i) {
    deep = {{"type", "Sequence"}, {"normalizers", json::array({deep})}};
  }
  EXPECT_THAT(normalizer(deep), HasSubstr("nesting"));
  EXPECT_THAT(refused("unigram", {{"pre_tokenizer", {{"prepend_scheme", "often"}}}}),
              HasSubstr("prepend_scheme often"));
  EXPECT_THAT(refused("unigram", {{"pre_tokenizer", {{"replacement", "__"}}}}),
              HasSubstr("key replacement: expected one character"));
  EXPECT_THAT(refused("unigram", {{"model", {{"unk_id", 5000}}}}), HasSubstr("unk_id"));
  for (const json& entry : {json("a"), json({"a"}), json({"a", "b"}), json({1, 2}),
                            json({std::string(2000, 'a'), 0.0})}) {
    EXPECT_THAT(refused("unigram", {{"model", {{"vocab", json::array({entry})}}}}),
                HasSubstr("model: key vocab: expected [token of at most 1024 bytes"));
  }
  EXPECT_THAT(refused("sentencepiece_bpe",
                      {{"decoder",
                        {{"decoders",
                          {{{"type", "Fuse"}},
                           {{"type", "Strip"}, {"content", " "}, {"start", 2}, {"stop", 0}}}}}}}),
              HasSubstr("Strip of more than one character"));
  EXPECT_THAT(refused("qwen2", {{"post_processor", {{"type", "BertProcessing"}}}}),
              HasSubstr("key cls"));
  EXPECT_THAT(refused("unigram", {{"pre_tokenizer", {{"type", "ByteLevel"}}}}),
              HasSubstr("Unigram behind a ByteLevel"));
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
