// Characters as Python sees them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::chat::jinja {

// Whether str.isspace() holds for the character.
bool is_space(char32_t c);
// Whether repr() shows the character as it is.
bool is_printable(char32_t c);
bool is_alphabetic(char32_t c);
bool is_digit(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);

// Full Unicode case mapping.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);        // every word's first letter
std::string to_capitalized(std::string_view text);  // the first character alone

// Number of characters.
size_t length_of(std::string_view text);
// The first `count` characters of `text`, or all of it.
std::string_view first_characters(std::string_view text, size_t count);
// The characters of `text`, each a piece of it.
std::vector<std::string_view> characters(std::string_view text);

// The lines of `text`, as str.splitlines() finds them.
std::vector<std::string> split_lines(std::string_view text, bool keep_ends);

// `text` without the characters at its ends that are whitespace, or that `chars` contains if it is
// not null.
enum class Side { kLeft, kRight, kBoth };
std::string_view strip(std::string_view text, const std::string* chars, Side side);

}  // namespace hearth::chat::jinja
