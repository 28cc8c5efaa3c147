// Tokens to a syntax tree.
#pragma once

#include <string_view>

#include "base/result.h"
#include "chat/jinja/ast.h"

namespace hearth::chat::jinja {

// kInvalidArgument names line and what was expected; kUnsupported names the construct, filter or
// test.
Result<Block> parse(std::string_view source);

}  // namespace hearth::chat::jinja
