#include "chat/utf8.h"

namespace hearth::chat {
namespace {

// The bytes that may follow a lead byte: how many, and the range of the first of them.
struct Lead {
  size_t followers = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

// No followers for a byte that begins no multi-byte character.
Lead lead_of(uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {.followers = 1};
  if (byte == 0xE0) return {.followers = 2, .low = 0xA0};
  if (byte == 0xED) return {.followers = 2, .high = 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {.followers = 2};
  if (byte == 0xF0) return {.followers = 3, .low = 0x90};
  if (byte >= 0xF1 && byte <= 0xF3) return {.followers = 3};
  if (byte == 0xF4) return {.followers = 3, .high = 0x8F};
  return {};
}

}  // namespace

Utf8Step read_utf8(std::string_view bytes) {
  const auto first = static_cast<uint8_t>(bytes[0]);
  if (first < 0x80) return {Utf8::kCharacter, 1, first};
  const Lead lead = lead_of(first);
  if (lead.followers == 0) return {Utf8::kInvalid, 1};

  char32_t character = first & (0x3F >> lead.followers);
  for (size_t i = 1; i <= lead.followers; ++i) {
    if (i == bytes.size()) return {Utf8::kUnfinished, i};
    const auto byte = static_cast<uint8_t>(bytes[i]);
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) return {Utf8::kInvalid, i};
    character = (character << 6) | (byte & 0x3F);
  }
  return {Utf8::kCharacter, lead.followers + 1, character};
}

void append_utf8(std::string& text, char32_t character) {
  const auto put = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto follow = [&](int shift) { put(0x80 | ((character >> shift) & 0x3F)); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | (character >> 6));
    follow(0);
  } else if (character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF)) {
    text += kReplacementCharacter;
  } else if (character < 0x10000) {
    put(0xE0 | (character >> 12));
    follow(6);
    follow(0);
  } else {
    put(0xF0 | (character >> 18));
    follow(12);
    follow(6);
    follow(0);
  }
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Step step = read_utf8(bytes);
    text += step.kind == Utf8::kCharacter ? bytes.substr(0, step.length) : kReplacementCharacter;
    bytes.remove_prefix(step.length);
  }
  return text;
}

}  // namespace hearth::chat
