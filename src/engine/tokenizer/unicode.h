// UTF-8 and the few character properties that tokenizers ask for.
#pragma once

#include <string>
#include <string_view>

namespace hearth::engine {

// `text` itself if it is UTF-8; else a copy in `storage` in which each maximal ill-formed part
// became one U+FFFD (https://www.unicode.org/versions/latest/core-spec/chapter-3, "U+FFFD
// Substitution").
std::string_view valid_utf8(std::string_view text, std::string& storage);

bool is_valid_utf8(std::string_view text);

// Bytes of the character that starts at `text[0]`. REQUIRES: valid UTF-8, not empty.
size_t character_bytes(std::string_view text);

// The character at text[at], which is moved behind it. REQUIRES: valid UTF-8, at < text.size().
char32_t next_character(std::string_view text, size_t& at);

// The ends of a text; U+FFFD if it is empty. REQUIRES: valid UTF-8.
char32_t first_character(std::string_view text);
char32_t last_character(std::string_view text);

// Appends a character. REQUIRES: a scalar value.
void append_utf8(char32_t character, std::string& text);

bool is_white_space(char32_t character);
bool is_mark(char32_t character);  // Mn, Mc or Me
// Without regard to the characters around it; U+0130 alone becomes two characters.
void append_lowercase(char32_t character, std::string& text);

// Bytes of white space at the start and at the end of valid UTF-8.
size_t leading_space_bytes(std::string_view text);
size_t trailing_space_bytes(std::string_view text);

// Does valid UTF-8 start or end with a word character (letter, mark, digit, connector)?
bool starts_with_word(std::string_view text);
bool ends_with_word(std::string_view text);

}  // namespace hearth::engine
