// JSON to values.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// Keeps the order of keys. kInvalidArgument for JSON nested deeper than kValueDepthMax.
Result<Value> from_json(Context& context, const nlohmann::ordered_json& json);

}  // namespace hearth::chat::jinja
