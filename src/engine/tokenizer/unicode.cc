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
