#include "chat/jinja/operators.h"

#include <cmath>
#include <limits>
#include <string>

#include "chat/jinja/format.h"
#include "chat/jinja/text.h"

namespace hearth::chat::jinja {
namespace {

std::string_view symbol(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
      return "+";
    case BinaryOp::kSubtract:
      return "-";
    case BinaryOp::kMultiply:
      return "*";
    case BinaryOp::kDivide:
      return "/";
    case BinaryOp::kFloorDivide:
      return "//";
    case BinaryOp::kModulo:
      return "%";
    case BinaryOp::kPower:
      return "**";
  }
  return "";
}

// False when the result does not fit.
bool power(int64_t base, int64_t exponent, int64_t& result) {
  if (base >= -1 && base <= 1) {
    result = exponent % 2 == 0 ? base * base : base;
    if (exponent == 0) result = 1;
    return true;
  }
  result = 1;
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(result, base, &result)) return false;
  }
  return true;
}

int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Result<Value> apply_integers(Context& context, BinaryOp op, int64_t a, int64_t b) {
  const bool divides = op == BinaryOp::kFloorDivide || op == BinaryOp::kModulo;
  int64_t result = 0;
  bool fits = true;
  if (divides && b == -1) {  // the one quotient that may not fit
    fits = op == BinaryOp::kModulo || !__builtin_sub_overflow(int64_t{0}, a, &result);
  } else if (op == BinaryOp::kAdd) {
    fits = !__builtin_add_overflow(a, b, &result);
  } else if (op == BinaryOp::kSubtract) {
    fits = !__builtin_sub_overflow(a, b, &result);
  } else if (op == BinaryOp::kMultiply) {
    fits = !__builtin_mul_overflow(a, b, &result);
  } else if (op == BinaryOp::kFloorDivide) {
    result = floor_divide(a, b);
  } else if (op == BinaryOp::kModulo) {
    result = a - floor_divide(a, b) * b;
  } else {
    fits = power(a, b, result);
  }
  if (!fits) return context.error("the result does not fit 64 bits");
  return Value(result);
}

Value apply_floats(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSubtract:
      return a - b;
    case BinaryOp::kMultiply:
      return a * b;
    case BinaryOp::kDivide:
      return a / b;
    case BinaryOp::kFloorDivide:
      return std::floor(a / b);
    case BinaryOp::kModulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    case BinaryOp::kPower:
      return std::pow(a, b);
  }
  return 0.0;
}

Result<Value> apply_numbers(Context& context, BinaryOp op, const Value& left, const Value& right) {
  const double a = *as_number(left);
  const double b = *as_number(right);
  const bool divides =
      op == BinaryOp::kDivide || op == BinaryOp::kFloorDivide || op == BinaryOp::kModulo;
  if ((divides && b == 0) || (op == BinaryOp::kPower && a == 0 && b < 0)) {
    return context.error("division by zero");
  }
  const std::optional<int64_t> x = as_integer(left);
  const std::optional<int64_t> y = as_integer(right);
  const bool integral = x.has_value() && y.has_value() && op != BinaryOp::kDivide &&
                        (op != BinaryOp::kPower || *y >= 0);
  if (integral) return apply_integers(context, op, *x, *y);
  if (op == BinaryOp::kPower && a < 0 && b != std::floor(b)) {
    return context.error(Code::kUnsupported, "complex numbers are not supported");
  }
  return apply_floats(op, a, b);
}

// Strings, lists and tuples: what can be added and repeated.
bool is_repeatable(const Value& value) {
  const List* list = get_list(value);
  return get_string(value) != nullptr ||
         (list != nullptr && (list->kind == ListKind::kList || list->is_tuple()));
}

// "ab" * 3, [1] * 3; nothing for a negative count.
Result<Value> repeat(Context& context, const Value& sequence, int64_t count) {
  if (count < 0) count = 0;
  const std::string* text = get_string(sequence);
  const List* list = get_list(sequence);
  const size_t size = text != nullptr ? text->size() : list->items.size() * sizeof(Value);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(count, static_cast<int64_t>(size), &bytes)) {
    bytes = std::numeric_limits<int64_t>::max();
  }
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(bytes));
  if (text != nullptr) {
    std::string repeated;
    repeated.reserve(static_cast<size_t>(bytes));
    for (int64_t i = 0; i < count && bytes > 0; ++i) repeated += *text;
    if (is_markup(sequence)) return make_markup(std::move(repeated));
    return make_string(std::move(repeated));
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < count && bytes > 0; ++i) {
    items.insert(items.end(), list->items.begin(), list->items.end());
  }
  return context.list(std::move(items), list->kind);
}

// a + b of strings and lists; null for other types.
Result<std::optional<Value>> join(Context& context, const Value& left, const Value& right) {
  const std::string* text = get_string(left);
  const std::string* other = get_string(right);
  if (text != nullptr && other != nullptr) {
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(text->size() + other->size())));
    if (!is_markup(left) && !is_markup(right)) {
      return std::optional<Value>(make_string(*text + *other));
    }
    const std::string escaped = escape_html(is_markup(left) ? *other : *text);
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(escaped.size())));
    if (is_markup(left) && is_markup(right)) {
      return std::optional<Value>(make_markup(*text + *other));
    }
    return std::optional<Value>(make_markup(is_markup(left) ? *text + escaped : escaped + *other));
  }
  const List* list = get_list(left);
  const List* others = get_list(right);
  const bool joinable = list != nullptr && others != nullptr && is_repeatable(left) &&
                        is_repeatable(right) && list->is_tuple() == others->is_tuple();
  if (!joinable) {
    return std::optional<Value>();
  }
  const size_t count = list->items.size() + others->items.size();
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(count * sizeof(Value))));
  std::vector<Value> items = list->items;
  items.insert(items.end(), others->items.begin(), others->items.end());
  HEARTH_TRY(Value joined, context.list(std::move(items), list->kind));
  return std::optional<Value>(std::move(joined));
}

}  // namespace

Result<Value> apply(Context& context, BinaryOp op, const Value& left, const Value& right) {
  if (is_undefined(left)) return context.undefined(left);
  if (op == BinaryOp::kModulo && get_string(left) != nullptr) {
    HEARTH_TRY(std::string text, format_percent(context, *get_string(left), right));
    return context.string(std::move(text));
  }
  if (is_undefined(right)) return context.undefined(right);
  if (as_number(left).has_value() && as_number(right).has_value()) {
    return apply_numbers(context, op, left, right);
  }
  if (op == BinaryOp::kMultiply) {
    const std::optional<int64_t> x = as_integer(left);
    const std::optional<int64_t> y = as_integer(right);
    if (is_repeatable(left) && y.has_value()) return repeat(context, left, *y);
    if (is_repeatable(right) && x.has_value()) return repeat(context, right, *x);
  }
  if (op == BinaryOp::kAdd) {
    HEARTH_TRY(std::optional<Value> joined, join(context, left, right));
    if (joined.has_value()) return std::move(*joined);
  }
  return context.error("unsupported operand types for " + std::string(symbol(op)) + ": '" +
                       std::string(type_name(left)) + "' and '" + std::string(type_name(right)) +
                       "'");
}

Result<Value> negate(Context& context, const Value& operand) {
  if (is_undefined(operand)) return context.undefined(operand);
  if (const std::optional<int64_t> integer = as_integer(operand)) {
    return apply_integers(context, BinaryOp::kSubtract, 0, *integer);
  }
  if (const double* number = get<double>(operand)) return Value(-*number);
  return context.error("bad operand type for unary -: '" + std::string(type_name(operand)) + "'");
}

}  // namespace hearth::chat::jinja
