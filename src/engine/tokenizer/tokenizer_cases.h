// For tests: tokenizers of the golden folder, and the reference library's answers for them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/formats/test_files.h"
#include "engine/tokenizer.h"

namespace hearth::engine {

inline std::string folder_of(const std::string& name) { return golden("tokenizers/" + name); }

inline std::unique_ptr<Tokenizer> load(const std::string& path) {
  auto tokenizer = Tokenizer::load(path);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

inline std::string error_of(const std::string& path, Code code) {
  const auto tokenizer = Tokenizer::load(path);
  EXPECT_FALSE(tokenizer.ok());
  if (tokenizer.ok()) return {};
  EXPECT_EQ(tokenizer.error().code(), code) << tokenizer.error().message();
  return tokenizer.error().message();
}

// The reference library's answers for a tokenizer of the family `name`.
inline void expect_cases(const Tokenizer& tokenizer, const std::string& name) {
  const nlohmann::json cases = nlohmann::json::parse(read_file(folder_of(name) + "/cases.json"));
  ASSERT_GT(cases.size(), 100u);
  for (const nlohmann::json& c : cases) {
    const std::string text = c["text"];
    EXPECT_EQ(tokenizer.encode(text, true), c["ids"].get<std::vector<int32_t>>()) << text;
    const auto ids = c["ids_no_special"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.encode(text, false), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids, false), c["decoded"].get<std::string>());
    std::string bytes;
    for (size_t i = 0; i < ids.size(); ++i) {
      bytes += i == 0 ? tokenizer.first_bytes(ids[i], false) : tokenizer.bytes(ids[i], false);
    }
    EXPECT_EQ(bytes, c["decoded"].get<std::string>()) << "token by token";
  }
}

}  // namespace hearth::engine
