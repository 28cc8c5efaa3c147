// Literals of expressions, as Python reads them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/jinja/token.h"

namespace hearth::chat::jinja {

// Resolves the escapes of a string literal's inside
// (https://docs.python.org/3/reference/lexical_analysis.html). kInvalidArgument for a malformed
// escape, kUnsupported for \N{...}.
Result<std::string> unescape(std::string_view inside);

// How many bytes of `text` a number takes; `text` begins with a digit.
size_t number_length(std::string_view text);
// A number as number_length found it: kind, `integer` or `number` of the token. kInvalidArgument
// when it does not fit 64 bits.
Result<Token> parse_number(std::string_view text);

}  // namespace hearth::chat::jinja
