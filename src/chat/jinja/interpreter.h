// Walks a syntax tree and writes text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "chat/jinja/ast.h"

namespace hearth::chat::jinja {

// Renders `block` with `variables` (an object). Errors are those of ChatTemplate::render.
Result<std::string> render(const Block& block, const nlohmann::ordered_json& variables);

}  // namespace hearth::chat::jinja
