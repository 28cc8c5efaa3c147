// Tokens by id and by text while a tokenizer is being read.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/bpe.h"

namespace hearth::engine {

class Vocabulary {
 public:
  static constexpr int64_t kIdMax =
      (1 << 20) - 1;  // largest published vocabularies have some 300,000

  // `file` names the source in errors.
  explicit Vocabulary(std::string file) : file_(std::move(file)) {}

  // kCorrupt if the id is out of range or taken by another token. REQUIRES: ids come before texts
  // are asked.
  Result<void> add(std::string_view token, int64_t id);

  // Tokens by id; ids nobody took are empty.
  const std::vector<std::string>& tokens() const { return tokens_; }
  std::vector<std::string> take_tokens() && { return std::move(tokens_); }
  // -1 for a text that is no token.
  int32_t id_of(std::string_view token) const;
  // The merge of two tokens, written in the byte alphabet; kCorrupt names the one that is missing.
  Result<BpeMerge> merge(std::string_view left, std::string_view right) const;

  // Of vocabularies in the byte alphabet: the token of each byte, -1 where there is none; every
  // token that stands for bytes, by its bytes.
  std::array<int32_t, 256> byte_ids() const;
  std::unordered_map<std::string, int32_t> words() const;

  // Of other vocabularies: the tokens of one character; the tokens <0x00> to <0xFF>, -1 where there
  // is none; every token by its text.
  std::unordered_map<char32_t, int32_t> character_ids() const;
  std::array<int32_t, 256> fallback_ids() const;
  const std::unordered_map<std::string, int32_t>& texts() const { return ids_; }

 private:
  std::string file_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> ids_;
};

}  // namespace hearth::engine
