#include "engine/tokenizer/unicode.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace hearth::engine {
namespace {

// Positions below are int32_t in ICU; only a few bytes around an end are ever looked at.
constexpr size_t kCharacterBytesMax = 4;

UChar32 first_of(std::string_view text) {
  const std::string_view head = text.substr(0, kCharacterBytesMax);
  int32_t i = 0;
  UChar32 c = 0;
  U8_NEXT_OR_FFFD(head.data(), i, static_cast<int32_t>(head.size()), c);
  return c;
}

// The last character; `bytes` is set to its length.
UChar32 last_of(std::string_view text, size_t& bytes) {
  const std::string_view tail =
      text.substr(text.size() > kCharacterBytesMax ? text.size() - kCharacterBytesMax : 0);
  auto i = static_cast<int32_t>(tail.size());
  UChar32 c = 0;
  U8_PREV_OR_FFFD(tail.data(), 0, i, c);
  bytes = tail.size() - static_cast<size_t>(i);
  return c;
}

// \w of https://www.unicode.org/reports/tr18/#word.
bool is_word(UChar32 c) {
  return u_hasBinaryProperty(c, UCHAR_ALPHABETIC) || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) ||
         (U_GET_GC_MASK(c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

}  // namespace

std::string_view valid_utf8(std::string_view text, std::string& storage) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  size_t copied = 0;  // of text, into storage
  bool replaced = false;
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const std::string_view head = text.substr(at, kCharacterBytesMax);
    int32_t length = 0;
    UChar32 c = 0;
    U8_NEXT(head.data(), length, static_cast<int32_t>(head.size()), c);
    if (c < 0) {
      if (!replaced) storage.clear();
      replaced = true;
      storage.append(text.substr(copied, at - copied)).append(kReplacement);
      copied = at + static_cast<size_t>(length);
    }
    at += static_cast<size_t>(length);
  }
  if (!replaced) return text;
  storage.append(text.substr(copied));
  return storage;
}

bool is_valid_utf8(std::string_view text) {
  std::string storage;
  return valid_utf8(text, storage).data() == text.data();
}

size_t character_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

char32_t next_character(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(text[at + i] & 0x3f); };
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  char32_t c = 0;
  if (lead < 0xe0) {
    c = static_cast<char32_t>(lead & 0x1f) << 6 | byte(1);
    at += 2;
  } else if (lead < 0xf0) {
    c = static_cast<char32_t>(lead & 0x0f) << 12 | byte(1) << 6 | byte(2);
    at += 3;
  } else {
    c = static_cast<char32_t>(lead & 0x07) << 18 | byte(1) << 12 | byte(2) << 6 | byte(3);
    at += 4;
  }
  return c;
}

char32_t first_character(std::string_view text) {
  return text.empty() ? 0xfffd : static_cast<char32_t>(first_of(text));
}

char32_t last_character(std::string_view text) {
  size_t bytes = 0;
  return text.empty() ? 0xfffd : static_cast<char32_t>(last_of(text, bytes));
}

void append_utf8(char32_t character, std::string& text) {
  char bytes[4];
  int32_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, static_cast<UChar32>(character));
  text.append(bytes, static_cast<size_t>(length));
}

bool is_white_space(char32_t character) {
  return u_isUWhiteSpace(static_cast<UChar32>(character)) != 0;
}

bool is_mark(char32_t character) {
  return (U_GET_GC_MASK(static_cast<UChar32>(character)) & U_GC_M_MASK) != 0;
}

void append_lowercase(char32_t character, std::string& text) {
  constexpr char32_t kCapitalIWithDot = 0x130;
  if (character == kCapitalIWithDot) {
    text += "i\u0307";
  } else {
    append_utf8(static_cast<char32_t>(u_tolower(static_cast<UChar32>(character))), text);
  }
}

size_t leading_space_bytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && u_isUWhiteSpace(first_of(text.substr(at)))) {
    at += character_bytes(text.substr(at));
  }
  return at;
}

size_t trailing_space_bytes(std::string_view text) {
  size_t count = 0;
  while (count < text.size()) {
    size_t bytes = 0;
    if (!u_isUWhiteSpace(last_of(text.substr(0, text.size() - count), bytes))) break;
    count += bytes;
  }
  return count;
}

bool starts_with_word(std::string_view text) { return !text.empty() && is_word(first_of(text)); }

bool ends_with_word(std::string_view text) {
  size_t bytes = 0;
  return !text.empty() && is_word(last_of(text, bytes));
}

}  // namespace hearth::engine
