// What can follow `is`.

#include <algorithm>
#include <array>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/compare.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/unicode.h"
#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

using Table = std::pair<std::string_view, Native>;

// A test without arguments.
template <bool (*kHolds)(const Value&)>
Result<Value> plain(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  return Value(kHolds(self));
}

bool is_defined(const Value& value) { return !is_undefined(value); }
bool is_boolean(const Value& value) { return get<bool>(value) != nullptr; }
bool is_true_itself(const Value& value) { return is_boolean(value) && *get<bool>(value); }
bool is_false_itself(const Value& value) { return is_boolean(value) && !*get<bool>(value); }
bool is_integer(const Value& value) { return get<int64_t>(value) != nullptr; }
bool is_float(const Value& value) { return get<double>(value) != nullptr; }
bool is_number(const Value& value) { return as_number(value).has_value(); }
bool is_string(const Value& value) { return get_string(value) != nullptr; }
bool is_mapping(const Value& value) { return get_dict(value) != nullptr; }
bool is_callable(const Value& value) {
  return get<Function*>(value) != nullptr || get<Loop*>(value) != nullptr || is_undefined(value);
}
bool is_sequence(const Value& value) {
  const List* list = get_list(value);
  return is_string(value) || is_mapping(value) || is_undefined(value) ||
         (list != nullptr && list->is_sequence());
}
bool is_iterable(const Value& value) {
  return is_sequence(value) || get_list(value) != nullptr || get<Loop*>(value) != nullptr;
}

// All letters of the text have the case, and there is one.
template <bool (*kWanted)(char32_t), bool (*kOther)(char32_t)>
bool has_case(const Value& value) {
  const std::string* text = get_string(value);
  if (text == nullptr) return false;
  bool any = false;
  for (std::string_view rest = *text; !rest.empty();) {
    const Utf8Step step = read_utf8(rest);
    if (kOther(step.character)) return false;
    any = any || kWanted(step.character);
    rest.remove_prefix(step.length);
  }
  return any;
}

enum class Order { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

template <Order kOrder>
Result<Value> compared(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"other"}, 1));
  const Value& other = bound.value(0);
  if (kOrder == Order::kEqual || kOrder == Order::kNotEqual) {
    HEARTH_TRY(const bool same, equal(context, self, other));
    return Value(same == (kOrder == Order::kEqual));
  }
  const bool swapped = kOrder == Order::kGreater || kOrder == Order::kLessEqual;
  const bool negated = kOrder == Order::kLessEqual || kOrder == Order::kGreaterEqual;
  HEARTH_TRY(const bool before, less(context, swapped ? other : self, swapped ? self : other));
  return Value(before != negated);
}

Result<Value> in(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"seq"}, 1));
  HEARTH_TRY(const bool member, contains(context, bound.value(0), self));
  return Value(member);
}

Result<Value> same_as(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"other"}, 1));
  const Value& other = bound.value(0);
  if (self.index() != other.index()) return Value(false);
  if (get_list(self) != nullptr) return Value(get_list(self) == get_list(other));
  if (get_dict(self) != nullptr) return Value(get_dict(self) == get_dict(other));
  HEARTH_TRY(const bool same, equal(context, self, other));
  return Value(same);
}

Result<bool> divides(Context& context, const Value& self, const Value& divisor) {
  HEARTH_TRY(const Value rest, apply(context, BinaryOp::kModulo, self, divisor));
  return !is_true(rest);
}

Result<Value> divisible_by(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"num"}, 1));
  HEARTH_TRY(const bool divisible, divides(context, self, bound.value(0)));
  return Value(divisible);
}

template <bool kEven>
Result<Value> parity(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  HEARTH_TRY(const bool even, divides(context, self, int64_t{2}));
  return Value(even == kEven);
}

template <Native (*kFind)(std::string_view)>
Result<Value> is_known(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  const std::string* name = get_string(self);
  return Value(name != nullptr && kFind(*name) != nullptr);
}

}  // namespace

Native find_test(std::string_view name) {
  static constexpr std::array<Table, 39> kTable = {{
      {"!=", compared<Order::kNotEqual>},
      {"<", compared<Order::kLess>},
      {"<=", compared<Order::kLessEqual>},
      {"==", compared<Order::kEqual>},
      {">", compared<Order::kGreater>},
      {">=", compared<Order::kGreaterEqual>},
      {"boolean", plain<is_boolean>},
      {"callable", plain<is_callable>},
      {"defined", plain<is_defined>},
      {"divisibleby", divisible_by},
      {"eq", compared<Order::kEqual>},
      {"equalto", compared<Order::kEqual>},
      {"escaped", plain<is_markup>},
      {"even", parity<true>},
      {"false", plain<is_false_itself>},
      {"filter", is_known<find_filter>},
      {"float", plain<is_float>},
      {"ge", compared<Order::kGreaterEqual>},
      {"greaterthan", compared<Order::kGreater>},
      {"gt", compared<Order::kGreater>},
      {"in", in},
      {"integer", plain<is_integer>},
      {"iterable", plain<is_iterable>},
      {"le", compared<Order::kLessEqual>},
      {"lessthan", compared<Order::kLess>},
      {"lower", plain<has_case<is_lower, is_upper>>},
      {"lt", compared<Order::kLess>},
      {"mapping", plain<is_mapping>},
      {"ne", compared<Order::kNotEqual>},
      {"none", plain<is_none>},
      {"number", plain<is_number>},
      {"odd", parity<false>},
      {"sameas", same_as},
      {"sequence", plain<is_sequence>},
      {"string", plain<is_string>},
      {"test", is_known<find_test>},
      {"true", plain<is_true_itself>},
      {"undefined", plain<is_undefined>},
      {"upper", plain<has_case<is_upper, is_lower>>},
  }};
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [name](const Table& entry) { return entry.first == name; });
  return found == kTable.end() ? nullptr : found->second;
}

}  // namespace hearth::chat::jinja
