// UTF-8 as it arrives: whole characters, unfinished ones, and bytes that are none.
// Source: https://www.unicode.org/versions/Unicode15.0.0/ch03.pdf, table 3-7 and "maximal
// subparts".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::chat {

enum class Utf8 {
  kCharacter,   // a whole character
  kUnfinished,  // the bytes end within a character that more bytes could complete
  kInvalid,     // the longest run of bytes that becomes one U+FFFD
};

struct Utf8Step {
  Utf8 kind = Utf8::kInvalid;
  size_t length = 0;  // bytes, >= 1
  char32_t character = 0xFFFD;
};

// What `bytes` begins with. REQUIRES: !bytes.empty().
Utf8Step read_utf8(std::string_view bytes);

// Appends `character` to `text`; U+FFFD for what is no character.
void append_utf8(std::string& text, char32_t character);

// `bytes` with everything that is not UTF-8 replaced by U+FFFD, one for each maximal subpart.
std::string to_valid_utf8(std::string_view bytes);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace hearth::chat
