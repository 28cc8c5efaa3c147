#include "engine/tokenizer/byte_level.h"

#include <array>

namespace hearth::engine {
namespace {

constexpr int kCharacters = 0x144;  // one past the last character of the alphabet

struct Alphabet {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, kCharacters> byte{};  // -1: not in the alphabet
};

// Printable Latin-1 stands for itself; the other bytes, in order, are the characters from U+0100
// on.
constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (int16_t& byte : alphabet.byte) byte = -1;
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
    const uint16_t character = printable ? static_cast<uint16_t>(byte) : next++;
    alphabet.character[byte] = character;
    alphabet.byte[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::optional<std::string> bytes_of_token(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (size_t i = 0; i < token.size(); ++i) {
    // The alphabet lies below U+0800: one or two bytes of UTF-8.
    int character = static_cast<unsigned char>(token[i]);
    if (character >= 0x80) {
      if (character < 0xc2 || character >= 0xe0 || i + 1 == token.size()) return std::nullopt;
      const int second = static_cast<unsigned char>(token[++i]);
      if ((second & 0xc0) != 0x80) return std::nullopt;
      character = (character & 0x1f) << 6 | (second & 0x3f);
    }
    if (character >= kCharacters || kAlphabet.byte[character] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[character]));
  }
  return bytes;
}

std::string character_of_byte(uint8_t byte) {
  const uint16_t character = kAlphabet.character[byte];
  if (character < 0x80) return std::string(1, static_cast<char>(character));
  return {static_cast<char>(0xc0 | character >> 6), static_cast<char>(0x80 | (character & 0x3f))};
}

}  // namespace hearth::engine
