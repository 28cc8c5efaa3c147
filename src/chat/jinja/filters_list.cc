// Filters over lists, dicts and anything that has items.

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>

#include "chat/jinja/access.h"
#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/compare.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace hearth::chat::jinja {
namespace {

using Table = std::pair<std::string_view, Native>;

// The item's attribute "a.b.0", or the item itself when `path` is undefined or None.
Result<Value> look_up(Context& context, const Value& item, const Value& path) {
  if (is_undefined(path) || is_none(path)) return item;
  if (as_integer(path).has_value()) return subscript(context, item, path);
  const std::string* text = get_string(path);
  if (text == nullptr) return context.error("an attribute must be named by a string or a number");
  Value value = item;
  for (size_t begin = 0; begin <= text->size();) {
    const size_t end = std::min(text->find('.', begin), text->size());
    const std::string part = text->substr(begin, end - begin);
    int64_t index = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == part.data() + part.size();
    HEARTH_TRY(value, subscript(context, value, whole ? Value(index) : make_string(part)));
    begin = end + 1;
  }
  return value;
}

// What items are compared by: strings without regard to case unless asked.
Result<Value> sort_key(Context& context, const Value& item, const Value& path, bool case_sensitive,
                       const Value& fallback = Undefined{}) {
  HEARTH_TRY(Value key, look_up(context, item, path));
  if (is_undefined(key)) key = fallback;
  const std::string* text = get_string(key);
  if (text == nullptr || case_sensitive) return key;
  return context.string(to_lower(*text));
}

struct Keyed {
  Value key;
  Value item;
};

Result<std::vector<Keyed>> keyed_items(Context& context, const Value& self, const Value& path,
                                       bool case_sensitive, const Value& fallback = Undefined{}) {
  HEARTH_TRY(std::vector<Value> all, items(context, self));
  std::vector<Keyed> keyed;
  for (Value& item : all) {
    HEARTH_TRY(Value key, sort_key(context, item, path, case_sensitive, fallback));
    keyed.push_back({std::move(key), std::move(item)});
  }
  return keyed;
}

// A stable merge sort that stops at the first pair without an order.
Result<void> merge_sort(Context& context, std::vector<Keyed>& list, bool reverse) {
  std::vector<Keyed> merged(list.size());
  for (size_t width = 1; width < list.size(); width *= 2) {
    for (size_t begin = 0; begin < list.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, list.size());
      const size_t end = std::min(begin + 2 * width, list.size());
      size_t a = begin;
      size_t b = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_b = a == middle;
        if (a < middle && b < end) {
          const Value& left = reverse ? list[a].key : list[b].key;
          const Value& right = reverse ? list[b].key : list[a].key;
          HEARTH_TRY(take_b, less(context, left, right));
        }
        merged[out] = std::move(take_b ? list[b++] : list[a++]);
      }
    }
    list.swap(merged);
  }
  return {};
}

// The keys of every item are those of several attributes, "a,b.c".
Result<void> combine_keys(Context& context, std::vector<Keyed>& keyed, std::string_view paths,
                          bool case_sensitive) {
  for (Keyed& entry : keyed) {
    std::vector<Value> keys;
    for (size_t begin = 0; begin <= paths.size();) {
      const size_t end = std::min(paths.find(',', begin), paths.size());
      HEARTH_TRY(const Value path, context.string(std::string(paths.substr(begin, end - begin))));
      HEARTH_TRY(Value key, sort_key(context, entry.item, path, case_sensitive));
      keys.push_back(std::move(key));
      begin = end + 1;
    }
    HEARTH_TRY(entry.key, context.list(std::move(keys)));
  }
  return {};
}

Result<Value> sort(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound,
             Bound::bind(context, given, {"reverse", "case_sensitive", "attribute"}));
  const Value path = bound.value_or(2, None{});
  const bool case_sensitive = bound.truth_or(1, false);
  const std::string* paths = get_string(path);
  const bool several = paths != nullptr && paths->find(',') != std::string::npos;
  HEARTH_TRY(std::vector<Keyed> keyed,
             keyed_items(context, self, several ? Value(None{}) : path, case_sensitive));
  if (several) HEARTH_RETURN_IF_ERROR(combine_keys(context, keyed, *paths, case_sensitive));
  HEARTH_RETURN_IF_ERROR(merge_sort(context, keyed, bound.truth_or(0, false)));
  std::vector<Value> sorted;
  for (Keyed& entry : keyed) sorted.push_back(std::move(entry.item));
  return context.list(std::move(sorted));
}

Result<Value> dictsort(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"case_sensitive", "by", "reverse"}));
  HEARTH_TRY(const std::string by, bound.string_or(context, 1, "key"));
  if (by != "key" && by != "value") return context.error("by must be 'key' or 'value'");
  const Dict* dict = get_dict(self);
  if (dict == nullptr) return context.error("dictsort needs a dict");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : dict->items()) {
    HEARTH_TRY(Value order,
               sort_key(context, by == "key" ? key : value, None{}, bound.truth_or(0, false)));
    HEARTH_TRY(Value pair, context.list({key, value}, ListKind::kTuple));
    keyed.push_back({std::move(order), std::move(pair)});
  }
  HEARTH_RETURN_IF_ERROR(merge_sort(context, keyed, bound.truth_or(2, false)));
  std::vector<Value> sorted;
  for (Keyed& entry : keyed) sorted.push_back(std::move(entry.item));
  return context.list(std::move(sorted));
}

template <bool kMax>
Result<Value> extreme(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"case_sensitive", "attribute"}));
  HEARTH_TRY(std::vector<Keyed> keyed,
             keyed_items(context, self, bound.value_or(1, None{}), bound.truth_or(0, false)));
  if (keyed.empty()) return Value(Undefined{});
  size_t best = 0;
  for (size_t i = 1; i < keyed.size(); ++i) {
    const Value& left = keyed[kMax ? best : i].key;
    const Value& right = keyed[kMax ? i : best].key;
    HEARTH_TRY(const bool better, less(context, left, right));
    if (better) best = i;
  }
  return keyed[best].item;
}

Result<Value> unique(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"case_sensitive", "attribute"}));
  HEARTH_TRY(std::vector<Keyed> keyed,
             keyed_items(context, self, bound.value_or(1, None{}), bound.truth_or(0, false)));
  HEARTH_TRY(Dict * seen, context.dict());
  std::vector<Value> kept;
  for (Keyed& entry : keyed) {
    if (is_hashable(entry.key) && seen->find(entry.key) != nullptr) continue;
    HEARTH_RETURN_IF_ERROR(context.set(*seen, entry.key, true));
    kept.push_back(std::move(entry.item));
  }
  return context.list(std::move(kept), ListKind::kIterator);
}

Result<Value> groupby(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound,
             Bound::bind(context, given, {"attribute", "default", "case_sensitive"}, 1));
  const Value fallback = bound.value_or(1, Undefined{});
  HEARTH_TRY(std::vector<Keyed> keyed,
             keyed_items(context, self, bound.value(0), bound.truth_or(2, false), fallback));
  HEARTH_RETURN_IF_ERROR(merge_sort(context, keyed, /*reverse=*/false));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < keyed.size();) {
    std::vector<Value> members;
    size_t end = begin;
    for (bool same = true; same && end < keyed.size();) {
      members.push_back(keyed[end].item);
      if (++end == keyed.size()) break;
      HEARTH_TRY(same, equal(context, keyed[begin].key, keyed[end].key));
    }
    HEARTH_TRY(Value grouper, look_up(context, keyed[begin].item, bound.value(0)));
    if (is_undefined(grouper)) grouper = fallback;
    HEARTH_TRY(Value list, context.list(std::move(members)));
    HEARTH_TRY(Value group, context.list({std::move(grouper), std::move(list)}, ListKind::kGroup));
    groups.push_back(std::move(group));
    begin = end;
  }
  return context.list(std::move(groups));
}

// Lists of `count` items each, the last filled up if there is something to fill it with.
Result<Value> batch(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"linecount", "fill_with"}, 1));
  HEARTH_TRY(const int64_t count, bound.integer_or(context, 0, 0));
  HEARTH_TRY(const std::vector<Value> all, items(context, self));
  const Value fill = bound.value_or(1, None{});
  std::vector<Value> lists;
  std::vector<Value> line;
  for (size_t i = 0; i < all.size(); ++i) {
    if (i > 0 && static_cast<int64_t>(line.size()) == count) {
      HEARTH_TRY(Value full, context.list(std::exchange(line, {})));
      lists.push_back(std::move(full));
    }
    line.push_back(all[i]);
  }
  if (!line.empty()) {
    const int64_t missing = is_none(fill) ? 0 : count - static_cast<int64_t>(line.size());
    HEARTH_RETURN_IF_ERROR(context.spend_steps(std::max<int64_t>(missing, 0)));
    if (missing > 0) line.resize(line.size() + static_cast<size_t>(missing), fill);
    HEARTH_TRY(Value last, context.list(std::move(line)));
    lists.push_back(std::move(last));
  }
  return context.list(std::move(lists), ListKind::kIterator);
}

// `count` lists of nearly equal length.
Result<Value> sliced(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"slices", "fill_with"}, 1));
  HEARTH_TRY(const int64_t slices, bound.integer_or(context, 0, 0));
  HEARTH_TRY(const std::vector<Value> all, items(context, self));
  if (slices == 0) return context.error("division by zero");
  HEARTH_RETURN_IF_ERROR(context.spend_steps(std::max<int64_t>(slices, 0)));
  const Value fill = bound.value_or(1, None{});
  const auto size = static_cast<int64_t>(all.size());
  std::vector<Value> lists;
  auto begin = all.begin();
  for (int64_t i = 0; i < slices; ++i) {
    const bool longer = i < size % slices;
    const auto end = begin + size / slices + (longer ? 1 : 0);
    std::vector<Value> part(begin, end);
    if (!longer && !is_none(fill)) part.push_back(fill);
    HEARTH_TRY(Value list, context.list(std::move(part)));
    lists.push_back(std::move(list));
    begin = end;
  }
  return context.list(std::move(lists), ListKind::kIterator);
}

Result<Value> join(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"d", "attribute"}));
  HEARTH_TRY(const std::vector<Value> all, items(context, self));
  HEARTH_TRY(const std::string separator, to_text(context, bound.value_or(0, make_string(""))));
  std::string joined;
  for (size_t i = 0; i < all.size(); ++i) {
    HEARTH_TRY(const Value item, look_up(context, all[i], bound.value_or(1, None{})));
    HEARTH_TRY(const std::string text, to_text(context, item));
    HEARTH_RETURN_IF_ERROR(
        context.spend_bytes(static_cast<int64_t>(text.size() + separator.size())));
    if (i > 0) joined += separator;
    joined += text;
  }
  return make_string(std::move(joined));
}

Result<Value> sum(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"attribute", "start"}));
  HEARTH_TRY(const std::vector<Value> all, items(context, self));
  Value total = bound.value_or(1, int64_t{0});
  for (const Value& element : all) {
    HEARTH_TRY(const Value item, look_up(context, element, bound.value_or(0, None{})));
    HEARTH_TRY(total, apply(context, BinaryOp::kAdd, total, item));
  }
  return total;
}

Result<Value> count(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  HEARTH_TRY(const int64_t size, length(context, self));
  return Value(size);
}

Result<Value> first(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  if (get_string(self) != nullptr) {
    return is_true(self) ? subscript(context, self, int64_t{0}) : Value(Undefined{});
  }
  List* list = get_list(self);
  if (list != nullptr && list->kind == ListKind::kIterator && !list->items.empty()) {
    HEARTH_RETURN_IF_ERROR(context.spend_steps(static_cast<int64_t>(list->items.size() / 64)));
    Value front = std::move(list->items.front());
    list->items.erase(list->items.begin());
    return front;
  }
  HEARTH_TRY(const std::vector<Value> all, items(context, self));
  return all.empty() ? Value(Undefined{}) : all.front();
}

Result<Value> last(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  if (get_string(self) != nullptr) {
    return is_true(self) ? subscript(context, self, int64_t{-1}) : Value(Undefined{});
  }
  const List* list = get_list(self);
  if (list != nullptr && list->kind == ListKind::kIterator) {
    return context.error("'generator' object is not reversible");
  }
  HEARTH_TRY(const std::vector<Value> all, items(context, self));
  return all.empty() ? Value(Undefined{}) : all.back();
}

Result<Value> list(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  HEARTH_TRY(std::vector<Value> all, items(context, self));
  return context.list(std::move(all));
}

Result<Value> reverse(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  if (get_string(self) != nullptr) return slice(context, self, None{}, None{}, int64_t{-1});
  HEARTH_TRY(std::vector<Value> all, items(context, self));
  std::reverse(all.begin(), all.end());
  const List* list = get_list(self);
  const bool copied = list != nullptr && list->kind == ListKind::kIterator;
  return context.list(std::move(all), copied ? ListKind::kList : ListKind::kIterator);
}

Result<Value> dict_items(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  if (is_undefined(self)) return context.list({}, ListKind::kIterator);
  if (get_dict(self) == nullptr) return context.error("can only get item pairs from a mapping");
  HEARTH_TRY(const Value view, find_method(self, "items")(context, self, given));
  return context.list(get_list(view)->items, ListKind::kIterator);
}

Result<Value> default_value(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"default_value", "boolean"}));
  const bool replaced = is_undefined(self) || (bound.truth_or(1, false) && !is_true(self));
  return replaced ? bound.value_or(0, make_string("")) : self;
}

Result<Value> attr(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"name"}, 1));
  HEARTH_TRY(const std::string name, bound.string_or(context, 0, ""));
  if (get_dict(self) == nullptr) return attribute(context, self, name);
  const Native native = find_method(self, name);  // keys of a dict are no attributes
  if (native == nullptr) return Value(Undefined{});
  return context.function({.native = native, .self = self});
}

// The arguments after the first `count` positional ones.
Given rest_of(const Given& given, size_t count) {
  const auto begin = given.positional.begin() + static_cast<std::ptrdiff_t>(count);
  return {.positional = {begin, given.positional.end()}, .named = given.named};
}

// The items of what `map`, `select` and their like walk: they take anything false for empty.
Result<std::vector<Value>> lazy_items(Context& context, const Value& self) {
  if (!is_true(self)) return std::vector<Value>();
  return items(context, self);
}

Result<Value> map(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(std::vector<Value> all, lazy_items(context, self));
  if (given.positional.empty()) {
    HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"attribute", "default"}, 1));
    for (Value& item : all) {
      HEARTH_TRY(item, look_up(context, item, bound.value(0)));
      if (is_undefined(item) && bound.has(1)) item = bound.value(1);
    }
    return context.list(std::move(all), ListKind::kIterator);
  }
  const std::string* name = get_string(given.positional[0]);
  const Native filter = name == nullptr ? nullptr : find_filter(*name);
  if (filter == nullptr) {
    return context.error(Code::kUnsupported, "map needs the name of a supported filter");
  }
  const Given rest = rest_of(given, 1);
  for (Value& item : all) {
    HEARTH_TRY(item, call_native(context, filter, item, rest));
  }
  return context.list(std::move(all), ListKind::kIterator);
}

// select, reject, selectattr, rejectattr.
template <bool kKeep, bool kAttribute>
Result<Value> choose(Context& context, const Value& self, const Given& given) {
  const size_t skipped = kAttribute ? 1 : 0;
  if (given.positional.size() < skipped)
    return context.error("the name of an attribute is missing");
  Native test = nullptr;
  if (given.positional.size() > skipped) {
    const std::string* name = get_string(given.positional[skipped]);
    test = name == nullptr ? nullptr : find_test(*name);
    if (test == nullptr) {
      return context.error(Code::kUnsupported, "the name of a supported test is needed");
    }
  }
  const Given rest = test == nullptr ? Given() : rest_of(given, skipped + 1);
  HEARTH_TRY(const std::vector<Value> all, lazy_items(context, self));
  std::vector<Value> kept;
  for (const Value& item : all) {
    Value tested = item;
    if (kAttribute) {
      HEARTH_TRY(tested, look_up(context, item, given.positional[0]));
    }
    if (test != nullptr) {
      HEARTH_TRY(tested, call_native(context, test, tested, rest));
    }
    if (is_true(tested) == kKeep) kept.push_back(item);
  }
  return context.list(std::move(kept), ListKind::kIterator);
}

}  // namespace

Native find_list_filter(std::string_view name) {
  static constexpr std::array<Table, 25> kTable = {{
      {"attr", attr},
      {"batch", batch},
      {"count", count},
      {"d", default_value},
      {"default", default_value},
      {"dictsort", dictsort},
      {"first", first},
      {"groupby", groupby},
      {"items", dict_items},
      {"join", join},
      {"last", last},
      {"length", count},
      {"list", list},
      {"map", map},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", choose<false, false>},
      {"rejectattr", choose<false, true>},
      {"reverse", reverse},
      {"select", choose<true, false>},
      {"selectattr", choose<true, true>},
      {"slice", sliced},
      {"sort", sort},
      {"sum", sum},
      {"unique", unique},
  }};
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [name](const Table& entry) { return entry.first == name; });
  return found == kTable.end() ? nullptr : found->second;
}

Result<Value> call_native(Context& context, Native native, const Value& self, const Given& given) {
  const auto size = [](const Value& value) {
    const std::string* text = get_string(value);
    return text == nullptr ? 0 : static_cast<int64_t>(text->size());
  };
  int64_t bytes = size(self);
  for (const Value& value : given.positional) bytes += size(value);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(1 + bytes / 16));
  return native(context, self, given);
}

Native find_filter(std::string_view name) {
  const Native filter = find_text_filter(name);
  return filter != nullptr ? filter : find_list_filter(name);
}

}  // namespace hearth::chat::jinja
