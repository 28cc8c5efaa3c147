// Tokens by id and by text while a tokenizer is being read. Takes 24 MiB at most, so that a file
// can be refused late.
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

  static constexpr size_t kTextBytesMax = 8 << 20;  // of all tokens; published ones have 3 MB

  // `file` names the source in errors.
  explicit Vocabulary(std::string file) : file_(std::move(file)) {}

  // kCorrupt if the id is out of range or taken by another token, or all texts are too long. A text
  // with several ids is found under its first.
  Result<void> add(std::string_view token, int64_t id);
  // kCorrupt where add() would say that of the id.
  Result<void> check_id(std::string_view token, int64_t id) const;

  // The highest id and one.
  size_t size() const { return places_.size(); }
  // Tokens by id; ids nobody took are empty.
  std::string_view text(size_t id) const;
  std::vector<std::string> tokens() const;
  // -1 for a text that is no token, as the empty one is.
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
  std::unordered_map<std::string, int32_t> texts() const;

 private:
  struct Place {
    uint32_t begin = 0;
    uint32_t bytes = 0;
  };

  // Where in index_ a text is, or would be.
  size_t slot_of(std::string_view token) const;
  void grow_index();

  std::string file_;
  std::string texts_;
  std::vector<Place> places_;   // by id, in texts_
  std::vector<int32_t> index_;  // ids by the hashes of texts; -1: empty. At most half is taken
  size_t indexed_ = 0;
};

}  // namespace hearth::engine
