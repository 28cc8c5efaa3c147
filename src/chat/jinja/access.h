// Reaching into values: attributes, subscripts, slices, length, iteration.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// object.name: methods first, then keys. Undefined when there is neither; kInvalidArgument for an
// undefined object.
Result<Value> attribute(Context& context, const Value& object, std::string_view name);
// object[key]: keys and positions first, then methods.
Result<Value> subscript(Context& context, const Value& object, const Value& key);
// object[start:stop:step]; absent parts are None.
Result<Value> slice(Context& context, const Value& object, const Value& start, const Value& stop,
                    const Value& step);

// len(value). kInvalidArgument for values that have none.
Result<int64_t> length(Context& context, const Value& value);
// The items of `value` in order: of a list, characters of a string, keys of a dict; nothing for
// undefined. An iterator is empty afterwards. kInvalidArgument for values without items.
Result<std::vector<Value>> items(Context& context, const Value& value);

}  // namespace hearth::chat::jinja
