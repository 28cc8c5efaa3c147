// Methods of lists, dicts and loops.

#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/compare.h"

namespace hearth::chat::jinja {
namespace {

enum class Part { kKeys, kValues, kItems };

template <Part kPart>
Result<Value> dict_parts(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  std::vector<Value> parts;
  for (const auto& [key, value] : get_dict(self)->items()) {
    if (kPart == Part::kKeys) {
      parts.push_back(key);
    } else if (kPart == Part::kValues) {
      parts.push_back(value);
    } else {
      HEARTH_TRY(Value pair, context.list({key, value}, ListKind::kTuple));
      parts.push_back(std::move(pair));
    }
  }
  return context.list(std::move(parts), kPart == Part::kKeys     ? ListKind::kKeys
                                        : kPart == Part::kValues ? ListKind::kValues
                                                                 : ListKind::kItems);
}

Result<Value> dict_get(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"key", "default"}, 1));
  if (!is_hashable(bound.value(0))) {
    return context.error("unhashable type: '" + std::string(type_name(bound.value(0))) + "'");
  }
  const Value* value = get_dict(self)->find(bound.value(0));
  return value != nullptr ? *value : bound.value_or(1, None{});
}

Result<Value> dict_copy(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  HEARTH_TRY(Dict * copy, context.dict());
  for (const auto& [key, value] : get_dict(self)->items()) {
    HEARTH_RETURN_IF_ERROR(context.set(*copy, key, value));
  }
  return Value(copy);
}

Result<Value> list_copy(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  return context.list(get_list(self)->items);
}

Result<Value> list_index(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"value"}, 1));
  const std::vector<Value>& items = get_list(self)->items;
  for (size_t i = 0; i < items.size(); ++i) {
    HEARTH_TRY(const bool same, equal(context, items[i], bound.value(0)));
    if (same) return Value(static_cast<int64_t>(i));
  }
  return context.error("the value is not in the list");
}

Result<Value> list_count(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"value"}, 1));
  int64_t count = 0;
  for (const Value& item : get_list(self)->items) {
    HEARTH_TRY(const bool same, equal(context, item, bound.value(0)));
    count += same ? 1 : 0;
  }
  return Value(count);
}

// Templates run as in a sandbox: what they are given never changes.
Result<Value> forbidden(Context& context, const Value& self, const Given&) {
  return context.error("templates must not change a " + std::string(type_name(self)));
}

Result<Value> loop_cycle(Context& context, const Value& self, const Given& given) {
  if (given.positional.empty()) return context.error("no items for cycling given");
  return given.positional[(*get<Loop*>(self))->index % given.positional.size()];
}

// Whether the arguments differ from those of the call before.
Result<Value> loop_changed(Context& context, const Value& self, const Given& given) {
  Loop& loop = **get<Loop*>(self);
  HEARTH_TRY(const Value arguments, context.list(given.positional, ListKind::kTuple));
  if (loop.changed != nullptr) {
    HEARTH_TRY(const bool same, equal(context, arguments, loop.changed));
    if (same) return Value(false);
  }
  loop.changed = get_list(arguments);
  return Value(true);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Native find_method(const Value& object, std::string_view name) {
  if (get_string(object) != nullptr) return find_string_method(name);
  if (get_dict(object) != nullptr) {
    if (name == "items") return dict_parts<Part::kItems>;
    if (name == "keys") return dict_parts<Part::kKeys>;
    if (name == "values") return dict_parts<Part::kValues>;
    if (name == "get") return dict_get;
    if (name == "copy") return dict_copy;
    if (is_one_of(name, {"update", "pop", "popitem", "clear", "setdefault"})) return forbidden;
  }
  if (const List* list = get_list(object); list != nullptr && list->is_sequence()) {
    if (name == "index") return list_index;
    if (name == "count") return list_count;
    if (list->kind != ListKind::kList) return nullptr;
    if (name == "copy") return list_copy;
    if (is_one_of(name,
                  {"append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"})) {
      return forbidden;
    }
  }
  if (get<Loop*>(object) != nullptr && name == "cycle") return loop_cycle;
  if (get<Loop*>(object) != nullptr && name == "changed") return loop_changed;
  return nullptr;
}

}  // namespace hearth::chat::jinja
