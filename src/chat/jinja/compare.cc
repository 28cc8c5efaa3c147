#include "chat/jinja/compare.h"

#include <algorithm>

namespace hearth::chat::jinja {
namespace {

Result<bool> equal_at(Context& context, const Value& a, const Value& b, int depth);

Result<bool> equal_lists(Context& context, const List& a, const List& b, int depth) {
  if (&a == &b) return true;
  const bool comparable = a.kind == b.kind || (a.is_tuple() && b.is_tuple());
  if (!comparable || a.kind == ListKind::kIterator || a.kind == ListKind::kValues) return false;
  if (a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    HEARTH_TRY(const bool same, equal_at(context, a.items[i], b.items[i], depth + 1));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_dicts(Context& context, const Dict& a, const Dict& b, int depth) {
  if (a.items().size() != b.items().size()) return false;
  for (const auto& [key, value] : a.items()) {
    const Value* other = b.find(key);
    if (other == nullptr) return false;
    HEARTH_TRY(const bool same, equal_at(context, value, *other, depth + 1));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_at(Context& context, const Value& a, const Value& b, int depth) {
  HEARTH_RETURN_IF_ERROR(context.spend_steps(1));
  if (depth > kValueDepthMax) {
    return context.error(Code::kResourceExhausted, "values to be compared are nested deeper than " +
                                                       std::to_string(kValueDepthMax) + " levels");
  }
  const std::optional<int64_t> x = as_integer(a);
  const std::optional<int64_t> y = as_integer(b);
  if (x.has_value() && y.has_value()) return *x == *y;
  const std::optional<double> u = as_number(a);
  const std::optional<double> v = as_number(b);
  if (u.has_value() && v.has_value()) return *u == *v;
  const std::string* text = get_string(a);
  const std::string* other = get_string(b);
  if (text != nullptr && other != nullptr) {
    HEARTH_RETURN_IF_ERROR(context.spend_steps(static_cast<int64_t>(text->size() / 64)));
    return *text == *other;
  }
  if (a.index() != b.index()) return false;
  if (const List* list = get_list(a)) return equal_lists(context, *list, *get_list(b), depth);
  if (const Dict* dict = get_dict(a)) return equal_dicts(context, *dict, *get_dict(b), depth);
  if (const Namespace* names = get<Namespace>(a)) {
    return names->attributes == get<Namespace>(b)->attributes;
  }
  if (Loop* const* loop = get<Loop*>(a)) return *loop == *get<Loop*>(b);
  if (Function* const* function = get<Function*>(a)) return *function == *get<Function*>(b);
  return true;  // undefined and None
}

Result<bool> less_at(Context& context, const Value& a, const Value& b, int depth) {
  HEARTH_RETURN_IF_ERROR(context.spend_steps(1));
  const std::optional<int64_t> x = as_integer(a);
  const std::optional<int64_t> y = as_integer(b);
  if (x.has_value() && y.has_value()) return *x < *y;
  const std::optional<double> u = as_number(a);
  const std::optional<double> v = as_number(b);
  if (u.has_value() && v.has_value()) return *u < *v;
  const std::string* text = get_string(a);
  const std::string* other = get_string(b);
  if (text != nullptr && other != nullptr) {
    HEARTH_RETURN_IF_ERROR(context.spend_steps(static_cast<int64_t>(text->size() / 64)));
    return *text < *other;
  }
  const List* list = get_list(a);
  const List* others = get_list(b);
  const bool ordered = list != nullptr && others != nullptr &&
                       ((list->is_tuple() && others->is_tuple()) ||
                        (list->kind == ListKind::kList && others->kind == ListKind::kList));
  if (ordered && depth < kValueDepthMax) {
    const size_t common = std::min(list->items.size(), others->items.size());
    for (size_t i = 0; i < common; ++i) {
      HEARTH_TRY(const bool same, equal(context, list->items[i], others->items[i]));
      if (!same) return less_at(context, list->items[i], others->items[i], depth + 1);
    }
    return list->items.size() < others->items.size();
  }
  if (is_undefined(a)) return context.undefined(a);
  if (is_undefined(b)) return context.undefined(b);
  return context.error("'" + std::string(type_name(a)) + "' and '" + std::string(type_name(b)) +
                       "' have no order");
}

}  // namespace

int64_t search_steps(size_t haystack, size_t needle) {
  return static_cast<int64_t>((1 + haystack / 64) * (1 + needle / 64));
}

Result<bool> equal(Context& context, const Value& a, const Value& b) {
  return equal_at(context, a, b, 0);
}

Result<bool> less(Context& context, const Value& a, const Value& b) {
  return less_at(context, a, b, 0);
}

Result<bool> contains(Context& context, const Value& container, const Value& item) {
  if (const std::string* text = get_string(container)) {
    if (is_undefined(item)) return context.undefined(item);
    const std::string* part = get_string(item);
    if (part == nullptr) {
      return context.error("'in <string>' requires string as left operand, not " +
                           std::string(type_name(item)));
    }
    HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text->size(), part->size())));
    return text->find(*part) != std::string::npos;
  }
  if (const Dict* dict = get_dict(container)) {
    HEARTH_RETURN_IF_ERROR(context.spend_steps(static_cast<int64_t>(dict->items().size() / 64)));
    if (is_hashable(item)) return dict->find(item) != nullptr;
    return context.error("unhashable type: '" + std::string(type_name(item)) + "'");
  }
  if (List* list = get_list(container)) {
    size_t looked_at = 0;
    bool found = false;
    while (!found && looked_at < list->items.size()) {
      HEARTH_TRY(found, equal(context, list->items[looked_at++], item));
    }
    if (list->kind == ListKind::kIterator) {  // it stands behind what was looked at
      HEARTH_RETURN_IF_ERROR(context.spend_steps(static_cast<int64_t>(list->items.size() / 64)));
      list->items.erase(list->items.begin(),
                        list->items.begin() + static_cast<std::ptrdiff_t>(looked_at));
    }
    return found;
  }
  if (is_undefined(container)) return false;
  return context.error("argument of type '" + std::string(type_name(container)) +
                       "' is not iterable");
}

}  // namespace hearth::chat::jinja
