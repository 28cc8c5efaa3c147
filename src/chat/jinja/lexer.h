// Template source to tokens, with the whitespace control of trim_blocks and lstrip_blocks.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/jinja/token.h"

namespace hearth::chat::jinja {

// The tokens of `source`, the last of them kEnd. Comments and {% raw %} are resolved here.
// kInvalidArgument names the line of what is no token or is never closed.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace hearth::chat::jinja
