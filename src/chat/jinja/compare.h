// Equality, order and membership, as Python defines them.
#pragma once

#include "base/result.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// a == b. kResourceExhausted for values nested too deeply.
Result<bool> equal(Context& context, const Value& a, const Value& b);
// a < b. kInvalidArgument for values without an order.
Result<bool> less(Context& context, const Value& a, const Value& b);
// item in container.
Result<bool> contains(Context& context, const Value& container, const Value& item);

// Steps that a search of `needle` bytes in `haystack` bytes may take at worst.
int64_t search_steps(size_t haystack, size_t needle);

}  // namespace hearth::chat::jinja
