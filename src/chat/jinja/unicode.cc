#include "chat/jinja/unicode.h"

#include <unicode/ucasemap.h>
#include <unicode/uchar.h>
#include <utility>

#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

using CaseFunction = int32_t (*)(const UCaseMap*, char*, int32_t, const char*, int32_t,
                                 UErrorCode*);

std::string map_case(std::string_view text, CaseFunction function) {
  UErrorCode status = U_ZERO_ERROR;
  UCaseMap* map = ucasemap_open("", 0, &status);
  if (U_FAILURE(status)) return std::string(text);
  std::string out(text.size() + 16, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    status = U_ZERO_ERROR;
    const int32_t length = function(map, out.data(), static_cast<int32_t>(out.size()), text.data(),
                                    static_cast<int32_t>(text.size()), &status);
    const bool retry = status == U_BUFFER_OVERFLOW_ERROR;
    if (!retry && U_FAILURE(status))
      out = text;
    else
      out.resize(static_cast<size_t>(length));
    if (!retry) break;
  }
  ucasemap_close(map);
  return out;
}

UChar32 icu(char32_t c) { return static_cast<UChar32>(c); }

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  const uint32_t hidden =
      U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CS_MASK | U_GC_CO_MASK | U_GC_CN_MASK | U_GC_Z_MASK;
  return (U_GET_GC_MASK(icu(c)) & hidden) == 0;
}

bool is_alphabetic(char32_t c) { return (U_GET_GC_MASK(icu(c)) & U_GC_L_MASK) != 0; }
bool is_digit(char32_t c) { return u_charType(icu(c)) == U_DECIMAL_DIGIT_NUMBER; }
bool is_upper(char32_t c) { return u_isUUppercase(icu(c)) != 0; }
bool is_lower(char32_t c) { return u_isULowercase(icu(c)) != 0; }

std::string to_upper(std::string_view text) { return map_case(text, ucasemap_utf8ToUpper); }
std::string to_lower(std::string_view text) { return map_case(text, ucasemap_utf8ToLower); }

std::string to_title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (const std::string_view piece : characters(text)) {
    const char32_t c = read_utf8(piece).character;
    const bool cased = is_upper(c) || is_lower(c) || u_charType(icu(c)) == U_TITLECASE_LETTER;
    if (!cased) {
      out += piece;
    } else if (in_word) {
      out += to_lower(piece);
    } else {
      append_utf8(out, static_cast<char32_t>(u_totitle(icu(c))));
    }
    in_word = cased;
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  if (text.empty()) return "";
  const Utf8Step first = read_utf8(text);
  std::string out;
  append_utf8(out, static_cast<char32_t>(u_totitle(icu(first.character))));
  return out + to_lower(text.substr(first.length));
}

size_t length_of(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (c & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

std::string_view first_characters(std::string_view text, size_t count) {
  size_t bytes = 0;
  for (; count > 0 && bytes < text.size(); --count) bytes += read_utf8(text.substr(bytes)).length;
  return text.substr(0, bytes);
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> pieces;
  pieces.reserve(text.size());
  while (!text.empty()) {
    const size_t length = read_utf8(text).length;
    pieces.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return pieces;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  std::string line;
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Step step = read_utf8(rest);
    const char32_t c = step.character;
    size_t taken = step.length;
    if (c == '\r' && rest.substr(1).starts_with('\n')) ++taken;
    const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
    if (!ends || keep_ends) line += rest.substr(0, taken);
    rest.remove_prefix(taken);
    if (ends) lines.push_back(std::exchange(line, ""));
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

std::string_view strip(std::string_view text, const std::string* chars, Side side) {
  const auto removed = [chars](std::string_view piece) {
    return chars == nullptr ? is_space(read_utf8(piece).character)
                            : chars->find(piece) != std::string::npos;
  };
  while (side != Side::kRight && !text.empty()) {
    const size_t length = read_utf8(text).length;
    if (!removed(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (side != Side::kLeft && !text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
    if (!removed(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

}  // namespace hearth::chat::jinja
