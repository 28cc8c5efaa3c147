// The unigram model of SentencePiece: a word becomes the tokens whose scores have the highest sum.
// Source: https://arxiv.org/abs/1804.10959.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/tokenizer/trie.h"
#include "engine/tokenizer/word_encoder.h"

namespace hearth::engine {

struct UnigramToken {
  std::string_view text;
  int32_t id = 0;
  double score = 0;  // logarithm of its probability; finite
};

struct UnigramOptions {
  std::vector<UnigramToken> tokens;        // the last of equal texts counts
  double unknown_score = 0;                // of a character that no token covers
  int32_t unknown_id = -1;                 // -1: such characters vanish
  std::array<int32_t, 256> byte_ids = {};  // what they are written in instead, if `byte_fallback`
  bool byte_fallback = false;
};

class Unigram final : public WordEncoder {
 public:
  // Tokens are searched for at every character: longer ones would make that slow.
  static constexpr size_t kTokenBytesMax = 1024;

  // Keeps no view of the texts. REQUIRES: texts of at most kTokenBytesMax bytes.
  explicit Unigram(const UnigramOptions& options);

  // Of equal sums, the one whose last token begins first wins. Neighbouring unknown characters are
  // one unknown token. Time is O(n) times the length of the longest token, memory O(1) for all but
  // adversarial vocabularies.
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;
  std::string_view kind() const override { return "Unigram"; }

 private:
  // The best way to get to a position.
  struct Step {
    double score = 0;
    size_t begin = SIZE_MAX;  // of its last token; SIZE_MAX: no way yet
    int32_t id = 0;
  };

  void extend(std::string_view word, size_t at, size_t base, std::vector<Step>& steps,
              size_t& reach) const;
  void append(std::string_view text, int32_t id, std::string_view& unknown,
              std::vector<int32_t>& ids) const;
  void append_unknown(std::string_view text, std::vector<int32_t>& ids) const;

  Trie trie_;
  std::vector<double> scores_;  // by id
  double unknown_score_;
  int32_t unknown_id_;
  std::array<int32_t, 256> byte_ids_;
  bool byte_fallback_;
};

}  // namespace hearth::engine
