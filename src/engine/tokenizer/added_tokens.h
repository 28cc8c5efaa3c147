// Tokens that are found in text before any word is cut: <|im_start|> and the like.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/trie.h"

namespace hearth::engine {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;
  bool single_word = false;  // not found inside words
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // found in normalised text, not in the text as written
};

// A part of a text: an added token, or what lies between two.
struct TextPart {
  std::string_view text;
  int32_t id = -1;  // -1: no added token
};

// Finds the leftmost token, the longest of those that begin there, then goes on behind it.
// Immutable, thread-safe.
class AddedTokenFinder {
 public:
  // Tokens with empty contents are ignored; the last of equal contents counts.
  explicit AddedTokenFinder(const std::vector<AddedToken>& tokens = {});

  // Appends the parts of `text`, none of them empty. REQUIRES: valid UTF-8.
  void split(std::string_view text, std::vector<TextPart>& parts) const;

 private:
  // The token that begins at text[at], or null; `length` is set to its bytes.
  const AddedToken* longest_at(std::string_view text, size_t at, size_t& length) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> starts_{};  // bytes that tokens begin with
  Trie trie_;                       // contents to indices of tokens_
};

}  // namespace hearth::engine
