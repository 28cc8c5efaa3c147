#include "chat/jinja/access.h"

#include <algorithm>
#include <string>
#include <utility>

#include "chat/jinja/builtins.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"
#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

Value missing(const Value& object, std::string_view name) {
  return Undefined{std::make_shared<const std::string>(
      "a '" + std::string(type_name(object)) + "' has no attribute '" + std::string(name) + "'")};
}

Value loop_attribute(const Loop& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop.index);
  const auto count = static_cast<int64_t>(loop.items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return count - index;
  if (name == "revindex0") return count - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == count;
  if (name == "length") return count;
  if (name == "depth") return int64_t{loop.depth + 1};
  if (name == "depth0") return int64_t{loop.depth};
  if (name == "previtem" && index > 0) return loop.items[loop.index - 1];
  if (name == "nextitem" && index + 1 < count) return loop.items[loop.index + 1];
  return Undefined{std::make_shared<const std::string>("there is no " + std::string(name))};
}

// The method `name` of `object`, or nothing.
Result<std::optional<Value>> bound_method(Context& context, const Value& object,
                                          std::string_view name) {
  const Native native = find_method(object, name);
  if (native == nullptr) return std::optional<Value>();
  HEARTH_TRY(Value function, context.function({.native = native, .self = object}));
  return std::optional<Value>(std::move(function));
}

// The item at `index` (negative: from the end) of `size`, or nothing.
std::optional<size_t> position(int64_t index, size_t size) {
  const auto count = static_cast<int64_t>(size);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return std::nullopt;
  return static_cast<size_t>(index);
}

std::string_view skip_characters(std::string_view text, size_t count) {
  return text.substr(first_characters(text, count).size());
}

// Where a slice begins and what it takes, by the rules of
// https://docs.python.org/3/library/functions.html#slice.
struct Range {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
};

Result<Range> resolve(Context& context, const Value& start, const Value& stop, const Value& step,
                      int64_t count) {
  for (const Value* part : {&start, &stop, &step}) {
    if (!is_none(*part) && !as_integer(*part).has_value()) {
      return context.error("slice indices must be integers or None");
    }
  }
  Range range;
  range.step = as_integer(step).value_or(1);
  if (range.step == 0) return context.error("slice step cannot be zero");
  const int64_t low = range.step < 0 ? -1 : 0;
  const int64_t high = range.step < 0 ? count - 1 : count;
  const auto bound = [&](const Value& part, int64_t fallback) {
    const std::optional<int64_t> given = as_integer(part);
    if (!given.has_value()) return fallback;
    return *given < 0 ? std::max(*given + count, low) : std::min(*given, high);
  };
  range.start = bound(start, range.step < 0 ? high : low);
  range.stop = bound(stop, range.step < 0 ? low : high);
  return range;
}

std::vector<size_t> positions(const Range& range) {
  std::vector<size_t> list;
  const bool forward = range.step > 0;
  for (int64_t i = range.start; forward ? i < range.stop : i > range.stop;) {
    list.push_back(static_cast<size_t>(i));
    if (__builtin_add_overflow(i, range.step, &i)) break;
  }
  return list;
}

}  // namespace

Result<Value> attribute(Context& context, const Value& object, std::string_view name) {
  if (is_undefined(object)) return context.undefined(object);
  if (Loop* const* loop = get<Loop*>(object)) {
    if (name != "cycle" && name != "changed") return loop_attribute(**loop, name);
  }
  if (const Namespace* names = get<Namespace>(object)) {
    const Value* value = names->attributes->find(name);
    return value == nullptr ? missing(object, name) : *value;
  }
  HEARTH_TRY(std::optional<Value> function, bound_method(context, object, name));
  if (function.has_value()) return std::move(*function);
  if (const List* list = get_list(object); list != nullptr && list->kind == ListKind::kGroup) {
    if (name == "grouper") return list->items[0];
    if (name == "list") return list->items[1];
  }
  if (const Dict* dict = get_dict(object)) {
    if (const Value* value = dict->find(name)) return *value;
  }
  return missing(object, name);
}

Result<Value> subscript(Context& context, const Value& object, const Value& key) {
  if (is_undefined(object)) return context.undefined(object);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(1));
  if (const Dict* dict = get_dict(object)) {
    if (const Value* value = dict->find(key)) return *value;
  }
  const std::optional<int64_t> index = as_integer(key);
  if (const List* list = get_list(object);
      list != nullptr && list->is_sequence() && index.has_value()) {
    if (const auto i = position(*index, list->items.size())) return list->items[*i];
  }
  if (const std::string* text = get_string(object); text != nullptr && index.has_value()) {
    HEARTH_TRY(const int64_t count, length(context, object));
    if (const auto i = position(*index, static_cast<size_t>(count))) {
      return context.string(std::string(first_characters(skip_characters(*text, *i), 1)));
    }
  }
  if (const std::string* name = get_string(key)) {
    if (get_dict(object) == nullptr) return attribute(context, object, *name);
    const Native native = find_method(object, *name);
    if (native != nullptr) return context.function({.native = native, .self = object});
    return missing(object, *name);
  }
  HEARTH_TRY(const std::string name, to_repr(context, key));
  return missing(object, name.substr(0, 64));
}

Result<Value> slice(Context& context, const Value& object, const Value& start, const Value& stop,
                    const Value& step) {
  if (is_undefined(object)) return context.undefined(object);
  if (const List* list = get_list(object); list != nullptr && list->is_sequence()) {
    HEARTH_TRY(const Range range,
               resolve(context, start, stop, step, static_cast<int64_t>(list->items.size())));
    HEARTH_RETURN_IF_ERROR(
        context.spend_bytes(static_cast<int64_t>(list->items.size() * sizeof(size_t))));
    std::vector<Value> taken;
    for (const size_t i : positions(range)) taken.push_back(list->items[i]);
    const ListKind kind = list->is_tuple() ? ListKind::kTuple : list->kind;
    return context.list(std::move(taken), kind);
  }
  if (const std::string* text = get_string(object)) {
    HEARTH_TRY(const int64_t count, length(context, object));
    HEARTH_TRY(const Range range, resolve(context, start, stop, step, count));
    if (range.step == 1) {
      const auto taken = static_cast<size_t>(std::max<int64_t>(range.stop - range.start, 0));
      const std::string_view rest = skip_characters(*text, static_cast<size_t>(range.start));
      return context.string(std::string(first_characters(rest, taken)));
    }
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(text->size() * 24)));
    const std::vector<std::string_view> pieces = characters(*text);
    std::string taken;
    for (const size_t i : positions(range)) taken += pieces[i];
    return context.string(std::move(taken));
  }
  return missing(object, "slice");
}

Result<int64_t> length(Context& context, const Value& value) {
  if (const std::string* text = get_string(value)) {
    HEARTH_RETURN_IF_ERROR(context.spend_steps(static_cast<int64_t>(text->size() / 64)));
    return static_cast<int64_t>(length_of(*text));
  }
  const List* list = get_list(value);
  if (list != nullptr && list->kind != ListKind::kIterator) {
    return static_cast<int64_t>(list->items.size());
  }
  if (const Dict* dict = get_dict(value)) return static_cast<int64_t>(dict->items().size());
  if (Loop* const* loop = get<Loop*>(value)) return static_cast<int64_t>((*loop)->items.size());
  if (is_undefined(value)) return 0;
  return context.error("object of type '" + std::string(type_name(value)) + "' has no len()");
}

Result<std::vector<Value>> items(Context& context, const Value& value) {
  std::vector<Value> all;
  if (List* list = get_list(value)) {
    if (list->kind == ListKind::kIterator) return std::exchange(list->items, {});
    HEARTH_RETURN_IF_ERROR(
        context.spend_bytes(static_cast<int64_t>(list->items.size() * sizeof(Value))));
    all = list->items;
  } else if (const Dict* dict = get_dict(value)) {
    HEARTH_RETURN_IF_ERROR(
        context.spend_bytes(static_cast<int64_t>(dict->items().size() * sizeof(Value))));
    for (const auto& [key, unused] : dict->items()) all.push_back(key);
  } else if (const std::string* text = get_string(value)) {
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(text->size() * 96)));
    for (const std::string_view piece : characters(*text)) {
      all.push_back(make_string(std::string(piece)));
    }
  } else if (!is_undefined(value)) {
    return context.error("'" + std::string(type_name(value)) + "' object is not iterable");
  }
  return all;
}

}  // namespace hearth::chat::jinja
