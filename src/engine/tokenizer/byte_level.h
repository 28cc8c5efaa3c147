// The byte alphabet of byte-level BPE: every byte has a printable character, in which vocabularies
// are written (space is U+0120). Source: bytes_to_unicode in
// https://github.com/openai/gpt-2/blob/master/src/encoder.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::engine {

// The bytes that a token written in the alphabet stands for; nothing if it holds another character.
std::optional<std::string> bytes_of_token(std::string_view token);

// The alphabet's character for a byte, in UTF-8.
std::string character_of_byte(uint8_t byte);

}  // namespace hearth::engine
