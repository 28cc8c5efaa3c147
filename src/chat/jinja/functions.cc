// Functions that every template can call.

#include <ctime>

#include "chat/jinja/access.h"
#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/text.h"

namespace hearth::chat::jinja {
namespace {

Result<Value> range(Context& context, const Value&, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"start", "stop", "step"}, 1));
  HEARTH_TRY(int64_t start, bound.integer_or(context, 0, 0));
  HEARTH_TRY(int64_t stop, bound.integer_or(context, 1, 0));
  HEARTH_TRY(const int64_t step, bound.integer_or(context, 2, 1));
  if (!bound.has(1)) stop = std::exchange(start, 0);
  if (step == 0) return context.error("range() arg 3 must not be zero");
  // Jinja's sandbox has the same limit.
  constexpr size_t kRangeMax = 100'000;
  std::vector<Value> numbers;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (numbers.size() == kRangeMax) {
      return context.error(Code::kResourceExhausted,
                           "a range of more than " + std::to_string(kRangeMax) + " numbers");
    }
    numbers.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return context.list(std::move(numbers), ListKind::kRange);
}

// dict(other, key=value, ...): `other` a dict or a list of pairs.
Result<Dict*> make_dict(Context& context, const Given& given) {
  HEARTH_TRY(Dict * made, context.dict());
  if (given.positional.size() > 1) return context.error("at most one positional argument");
  if (!given.positional.empty()) {
    const Value& other = given.positional[0];
    if (const Dict* dict = get_dict(other)) {
      for (const auto& [key, value] : dict->items()) {
        HEARTH_RETURN_IF_ERROR(context.set(*made, key, value));
      }
    } else {
      HEARTH_TRY(const std::vector<Value> pairs, items(context, other));
      for (const Value& pair : pairs) {
        const List* list = get_list(pair);
        if (list == nullptr || list->items.size() != 2) return context.error("expected pairs");
        HEARTH_RETURN_IF_ERROR(context.set(*made, list->items[0], list->items[1]));
      }
    }
  }
  for (const auto& [name, value] : given.named) {
    HEARTH_TRY(const Value key, context.string(std::string(name)));
    HEARTH_RETURN_IF_ERROR(context.set(*made, key, value));
  }
  return made;
}

Result<Value> dict(Context& context, const Value&, const Given& given) {
  HEARTH_TRY(Dict * made, make_dict(context, given));
  return Value(made);
}

Result<Value> make_namespace(Context& context, const Value&, const Given& given) {
  HEARTH_TRY(Dict * made, make_dict(context, given));
  return Value(Namespace{made});
}

Result<Value> raise_exception(Context& context, const Value&, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"message"}, 1));
  HEARTH_TRY(const std::string message, to_text(context, bound.value(0)));
  return Error(Code::kInvalidArgument, message);
}

Result<Value> strftime_now(Context& context, const Value&, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"format"}, 1));
  HEARTH_TRY(const std::string format, bound.string_or(context, 0, ""));
  if (format.size() > 256) return context.error("the date format is too long");
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  char text[4096];
  // A format that gives no text and one that does not fit are both 0.
  return context.string(
      std::string(text, std::strftime(text, sizeof(text), format.c_str(), &local)));
}

}  // namespace

Native find_function(std::string_view name) {
  if (name == "range") return range;
  if (name == "dict") return dict;
  if (name == "namespace") return make_namespace;
  if (name == "raise_exception") return raise_exception;
  if (name == "strftime_now") return strftime_now;
  return nullptr;
}

}  // namespace hearth::chat::jinja
