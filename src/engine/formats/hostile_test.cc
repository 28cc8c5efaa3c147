// What it costs to refuse a file: at most its size and 64 MB of memory, whatever it claims.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/testing/peak_memory.h"
#include "engine/formats/test_files.h"
#include "engine/model_files.h"
#include "engine/tokenizer.h"

namespace hearth::engine {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kAllowedBytes = 64 << 20;

std::string open_model(const std::string& path) {
  const auto model = ModelFiles::open(path);
  return model.ok() ? "no error" : model.error().message();
}
std::string load_tokenizer(const std::string& path) {
  const auto tokenizer = Tokenizer::load(path);
  return tokenizer.ok() ? "no error" : tokenizer.error().message();
}

class HostileFile : public ::testing::Test {
 protected:
  using Open = std::string (*)(const std::string& path);

  // Opens `path` as `open` does; `size` is that of the file that is refused, which `parts` of the
  // message describe.
  void refused(Open open, const std::string& path, const std::string& file,
               std::initializer_list<std::string_view> parts) {
    const auto size = static_cast<int64_t>(std::filesystem::file_size(file));
    const PeakMemory refusal = peak_memory([&] { return open(path); });
    EXPECT_LT(refusal.bytes, kMemoryFactor * (size + kAllowedBytes))
        << file << " of " << size << " bytes";
    EXPECT_THAT(refusal.result, HasSubstr(file));
    for (const std::string_view part : parts) {
      EXPECT_THAT(refusal.result, HasSubstr(std::string(part)));
    }
  }

  void refused_gguf(std::string_view content, std::initializer_list<std::string_view> parts) {
    const std::string path = folder_.write("f.gguf", content);
    refused(open_model, path, path, parts);
  }

  void refused_tokenizer(std::string_view content, std::initializer_list<std::string_view> parts) {
    const std::string path = folder_.write("tokenizer.json", content);
    refused(load_tokenizer, path, path, parts);
  }

  // A Hugging Face directory that is right but for one file.
  void refused_in_directory(const std::string& name, std::string_view content,
                            std::initializer_list<std::string_view> parts) {
    std::filesystem::copy(golden("models/qwen3"), folder_.path() + "/model",
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::overwrite_existing);
    refused(open_model, folder_.path() + "/model", folder_.write("model/" + name, content), parts);
  }

  TemporaryFolder folder_;
};

std::string many(int count, const std::function<std::string(int)>& piece,
                 std::string_view separator = ",") {
  std::string all;
  for (int i = 0; i < count; ++i) {
    if (i > 0) all += separator;
    all += piece(i);
  }
  return all;
}

TEST_F(HostileFile, TruncatedGguf) {
  const std::string whole = read_file(golden("gguf/qwen3.gguf"));
  refused_gguf(whole.substr(0, whole.size() - 1), {"tensor", "within the"});
  refused_gguf(whole.substr(0, 10), {"byte 8: tensor count", "the file ends after 2 more"});
}

TEST_F(HostileFile, AbsurdGgufCounts) {
  const GgufBuilder empty;
  refused_gguf(empty.build(UINT64_MAX, 0) + std::string(1 << 20, '\0'), {"byte 8: tensor count"});
  refused_gguf(empty.build(0, UINT64_MAX) + std::string(1 << 20, '\0'), {"byte 16: metadata"});
}

TEST_F(HostileFile, AsManyGgufKeysAsThereMayBe) {
  GgufBuilder builder;
  for (int i = 0; i < 65'536; ++i) builder.add_int("k" + std::to_string(i), 1);
  refused_gguf(builder.build(), {"key general.architecture: expected a string"});
  builder.add_int("k", 1);
  refused_gguf(builder.build(), {"metadata count is 65537, expected at most 65536"});
}

TEST_F(HostileFile, AsManyGgufTensorsAsThereMayBe) {
  GgufBuilder builder;
  for (int i = 0; i < 262'144; ++i) {
    builder.add_entry("t" + std::to_string(i % 262'143), {0}, 0, 0);
  }
  refused_gguf(builder.build(), {"tensor t0 occurs twice"});
}

TEST_F(HostileFile, GgufTokensWithoutEnd) {
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type"}) {
    const std::string whole = read_file(golden("gguf/qwen3.gguf"));
    const bool texts = std::string_view(key) == "tokenizer.ggml.tokens";
    GgufBuilder builder;
    builder.add_text("general.architecture", "llama");
    builder.add_text("tokenizer.ggml.model", "gpt2");
    builder.add_texts("tokenizer.ggml.merges", {});
    if (!texts) builder.add_texts("tokenizer.ggml.tokens", {"a"});
    const uint64_t count = texts ? 5'000'000 : 40'000'000;
    builder.add(key, 9,
                little_endian<uint32_t>(texts ? 8 : 0) + little_endian(count) +
                    std::string(40'000'000, '\0'));
    const std::string path = folder_.write("f.gguf", builder.build());
    refused(load_tokenizer, path, path, {key, "expected at most 524288 items"});
  }
}

TEST_F(HostileFile, SafetensorsOfTensorsWithoutEnd) {
  const auto entry = [](int i) {
    return "\"t" + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  };
  refused_in_directory("model.safetensors", safetensors("{" + many(262'145, entry) + "}", ""),
                       {"more than 262144 tensors"});
  refused_in_directory("model.safetensors",
                       safetensors("{" + many(262'143, entry) + "," + entry(7) + "}", ""),
                       {"tensor t7 occurs twice"});
}

TEST_F(HostileFile, SafetensorsThatAreCutOrDeep) {
  const std::string whole = read_file(golden("models/qwen3/model.safetensors"));
  refused_in_directory("model.safetensors", whole.substr(0, whole.size() - 1),
                       {"tensor", "expected data_offsets [begin, end] within"});
  refused_in_directory("model.safetensors", safetensors(std::string(20'000'000, '['), ""),
                       {"byte 8: expected a JSON object"});
  refused_in_directory("model.safetensors",
                       safetensors("{\"a\":" + std::string(20'000'000, '['), ""),
                       {"unexpected array"});
}

TEST_F(HostileFile, ConfigsThatAreDeepOrLong) {
  refused_in_directory("config.json", std::string(4'000'000, '['),
                       {"byte 32", "levels of nesting"});
  refused_in_directory("config.json", "[" + many(1'000'000, [](int) { return "{}"; }) + "]",
                       {"more than 200000 values"});
  refused_in_directory(
      "config.json",
      "{" + many(99'000, [](int i) { return "\"" + std::to_string(i) + "\":[]"; }) + "}",
      {"key model_type: expected a string"});
  refused_in_directory("config.json", std::string(5'000'000, ' '), {"more than 4194304 bytes"});
}

TEST_F(HostileFile, IndicesWithoutEnd) {
  const auto entry = [](int i) { return "\"t" + std::to_string(i) + R"(":"a.safetensors")"; };
  refused_in_directory("model.safetensors.index.json",
                       "{\"weight_map\":{" + many(299'000, entry) + ",\"x\":1}}",
                       {"key x: expected a string"});
  refused_in_directory("model.safetensors.index.json",
                       "{\"weight_map\":{" + many(500'000, entry) + "}}",
                       {"more than 300000 values"});
}

// The element, so often that a document built of it would take some hundred megabytes.
std::string endless(const std::string& element) {
  return many(2'000'000, [&](int) { return element; });
}

TEST_F(HostileFile, TokenizerListsWithoutEnd) {
  for (const std::string element : {"[]", "[\"\"]", "{\"\":0}"}) {
    const std::string list = "[" + endless(element) + "]";
    const bool strings = element != "[]";
    const auto expected = [&](std::string_view what) {
      return strings ? what : "more than 65536 bytes between two strings";
    };
    refused_tokenizer("{\"model\":{\"vocab\":" + list + "}}",
                      {expected("model: key vocab: expected [token of at most 1024 bytes")});
    refused_tokenizer("{\"model\":{\"vocab\":{\"a\":0},\"merges\":" + list + "}}",
                      {expected("model: key merges: expected \"a b\"")});
    refused_tokenizer("{\"added_tokens\":" + list + "}", {expected("added_tokens: ")});
    refused_tokenizer("{\"normalizer\":" + list + "}", {expected("more than 20000 values")});
    refused_tokenizer("{\"model\":{\"merges\":[" + list + "]}}",
                      {expected("an element of merges: more than 64 values")});
    refused_tokenizer(list, {expected("more than 20000 values")});
  }
}

TEST_F(HostileFile, TokenizersWithLongOrDeepValues) {
  refused_tokenizer("{\"model\":{\"vocab\":{\"a\":" + std::string(30'000'000, '['), {"nesting"});
  refused_tokenizer("{\"model\":{\"vocab\":{\"a\":" + std::string(30'000'000, '1') + "}}}",
                    {"bytes between two strings"});
  refused_tokenizer(std::string(30'000'000, '\n'), {"bytes between two strings"});
  refused_tokenizer("[" + std::string(65'000, '\n') + "x", {"syntax error"});
  refused_tokenizer("{\"" + std::string(30'000'000, 'a') + "\":0}", {"1048576 bytes in a string"});
  refused_tokenizer("{\"decoder\":\"" + std::string(1'048'000, 'a') + "\x01\"}", {"control"});
  const std::string text = "\"" + std::string(60'000, 'a') + "\"";
  const std::string texts = many(500, [&](int) { return text; });
  refused_tokenizer("{\"decoder\":[" + texts + "]}", {"2097152 bytes of text"});
  refused_tokenizer("{\"added_tokens\":[[" + texts + "]]}", {"65536 bytes of text"});
  const auto entry = [](int i) {
    return "\"" + std::to_string(i) + std::string(1000, 'a') + "\":" + std::to_string(i);
  };
  refused_tokenizer("{\"model\":{\"vocab\":{" + many(30'000, entry) + "}}}",
                    {"expected at most 8388608 bytes of tokens"});
}

// A file of 30 MB with as many tokens, merges and added tokens as there may be, and then the rest
// of the object "model" and of the top object.
std::string full_tokenizer(const std::string& last_merge, const std::string& last) {
  const auto token = [](int i) { return "\"" + std::to_string(i) + "\":" + std::to_string(i); };
  const auto added = [](int) {
    return std::string(R"({"special":true,"content":"<a token of many names>","id":1048575})");
  };
  return R"({"added_tokens":[)" + many(65'536, added) + R"(],"model":{"vocab":{)" +
         many(1'048'575, token) + R"(},"merges":[)" +
         many(1'048'575, [](int) { return "\"1 0\""; }) + "," + last_merge + "]}" + last + "}";
}

TEST_F(HostileFile, TokenizersThatAreWrongAtTheEnd) {
  refused_tokenizer(full_tokenizer("\"1 00\"", ""), {"merge of 1 and 00: 00 is no token"});
  refused_tokenizer(full_tokenizer("\"1 0\",\"1 0\"", ""), {"at most 1048576 merges"});
  refused_tokenizer(full_tokenizer("\"1 0\"", R"(,"decoder":{"type":"CTC"})"), {"decoder", "CTC"});
  refused_tokenizer(full_tokenizer("\"1 0\"", R"(,"post_processor":{"type":"BertProcessing",)"
                                              R"("cls":["",0],"sep":["",1048576]})"),
                    {"key sep"});
  refused_tokenizer(full_tokenizer("\"1 0\"", ",\"model\":{\"vocab\":{}}"), {"key vocab", "twice"});
  // Merges before tokens.
  const auto token = [](int i) { return "\"" + std::to_string(i) + "\":" + std::to_string(i); };
  refused_tokenizer(R"({"model":{"merges":[)" + many(1'000'000, [](int) { return "\"1 0\""; }) +
                        R"(,"1 00"],"vocab":{)" + many(1'000'000, token) + "}}}",
                    {"merge of 1 and 00: 00 is no token"});
  const auto scored = [](int i) { return "[\"" + std::to_string(i) + "\",-1.25]"; };
  refused_tokenizer(R"({"model":{"vocab":[)" + many(1'048'576, scored) + R"(],"unk_id":1048576}})",
                    {"key unk_id"});
}

TEST_F(HostileFile, TokenizersThatAreSearchedForOneToken) {
  std::filesystem::create_directory(folder_.path() + "/model");
  folder_.write("model/tokenizer_config.json", R"({"eos_token":"<end>"})");
  const std::string list = "[" + endless("[\"\"]") + "]";
  refused_in_directory("tokenizer.json", "{\"model\":{\"merges\":" + list + "},\"a\":" + list + "}",
                       {"more than 20000 values"});
}

}  // namespace
}  // namespace hearth::engine
