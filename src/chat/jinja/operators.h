// Arithmetic, as Python does it, on 64-bit integers and floats.
#pragma once

#include "base/result.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// kInvalidArgument for types without the operation, division by zero and integers past 64 bits.
Result<Value> apply(Context& context, BinaryOp op, const Value& left, const Value& right);
Result<Value> negate(Context& context, const Value& operand);

}  // namespace hearth::chat::jinja
