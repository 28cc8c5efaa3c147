#include "chat/jinja/value.h"

#include <array>

namespace hearth::chat::jinja {
namespace {

// Equality of keys that are no strings: numbers by value, None with None.
bool same_key(const Value& a, const Value& b) {
  if (is_none(a) || is_none(b)) return is_none(a) && is_none(b);
  const std::optional<int64_t> x = as_integer(a);
  const std::optional<int64_t> y = as_integer(b);
  if (x.has_value() && y.has_value()) return *x == *y;
  const std::optional<double> u = as_number(a);
  const std::optional<double> v = as_number(b);
  return u.has_value() && v.has_value() && *u == *v;
}

}  // namespace

size_t Dict::position(const Value& key) const {
  if (const std::string* text = get_string(key)) {
    const auto found = strings_.find(*text);
    return found == strings_.end() ? items_.size() : found->second;
  }
  if (others_ == 0) return items_.size();
  size_t i = 0;
  while (i < items_.size() && !same_key(items_[i].first, key)) ++i;
  return i;
}

const Value* Dict::find(const Value& key) const {
  const size_t i = position(key);
  return i == items_.size() ? nullptr : &items_[i].second;
}

const Value* Dict::find(std::string_view key) const {
  const auto found = strings_.find(key);
  return found == strings_.end() ? nullptr : &items_[found->second].second;
}

void Dict::set(const Value& key, Value value) {
  const size_t i = position(key);
  if (i < items_.size()) {
    items_[i].second = std::move(value);
    return;
  }
  items_.emplace_back(key, std::move(value));
  if (const std::string* text = get_string(key)) {
    strings_.emplace(*text, i);
  } else {
    ++others_;
  }
}

std::string_view type_name(const Value& value) {
  static constexpr std::array<std::string_view, std::variant_size_v<Value>> kNames = {
      "Undefined", "NoneType", "bool", "int",       "float",       "str",
      "Markup",    "list",     "dict", "namespace", "LoopContext", "function"};
  static constexpr std::array<std::string_view, 8> kLists = {
      "list", "tuple", "tuple", "dict_keys", "dict_values", "dict_items", "range", "generator"};
  if (const List* list = get_list(value)) return kLists[static_cast<size_t>(list->kind)];
  return kNames[value.index()];
}

bool is_true(const Value& value) {
  if (is_undefined(value) || is_none(value)) return false;
  if (const std::optional<double> number = as_number(value)) return *number != 0;
  if (const std::string* text = get_string(value)) return !text->empty();
  if (const List* list = get_list(value)) {
    return list->kind == ListKind::kIterator || !list->items.empty();
  }
  if (const Dict* dict = get_dict(value)) return !dict->items().empty();
  if (Loop* const* loop = get<Loop*>(value)) return !(*loop)->items.empty();
  return true;
}

std::optional<int64_t> as_integer(const Value& value) {
  if (const bool* truth = get<bool>(value)) return *truth ? 1 : 0;
  if (const int64_t* integer = get<int64_t>(value)) return *integer;
  return std::nullopt;
}

std::optional<double> as_number(const Value& value) {
  if (const double* number = get<double>(value)) return *number;
  if (const std::optional<int64_t> integer = as_integer(value)) {
    return static_cast<double>(*integer);
  }
  return std::nullopt;
}

}  // namespace hearth::chat::jinja
