// The table of replacements that SentencePiece compiles from its normalisation rules
// (precompiled_charsmap): a double array of byte strings, each with the text it becomes.
// Sources: normalizer.cc of https://github.com/google/sentencepiece, and
// https://github.com/s-yata/darts-clone for the array.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::engine {

// How a text is cut into what is looked up.
enum class CharsmapLookup {
  kLongestMatch,  // SentencePiece itself: the longest known string at each place
  kGraphemes,     // tokenizer.json: grapheme clusters below six bytes, then their characters; what
                  // begins with a known string becomes the replacement of the shortest such
};

// Immutable, thread-safe.
class Charsmap {
 public:
  // `blob`: u32 bytes of the array, the array (u32 units, little endian), then the replacements,
  // each ended by a zero byte. kCorrupt, naming `where`, if it is cut short, or a replacement is
  // longer than kReplacementBytesMax or not UTF-8.
  static Result<Charsmap> parse(std::string_view blob, CharsmapLookup lookup,
                                const std::string& where);

  static constexpr size_t kReplacementBytesMax = 256;

  // REQUIRES: valid UTF-8.
  std::string normalize(std::string_view text) const;

 private:
  struct Match {
    size_t bytes = 0;  // of the text
    std::string_view replacement;
  };

  std::optional<Match> match(std::string_view text, bool longest) const;
  std::string by_longest_match(std::string_view text) const;
  std::string by_graphemes(std::string_view text) const;
  void append_grapheme(std::string_view grapheme, std::string& out) const;

  CharsmapLookup lookup_ = CharsmapLookup::kLongestMatch;
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace hearth::engine
