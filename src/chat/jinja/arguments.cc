#include "chat/jinja/arguments.h"

#include <algorithm>
#include <string>

namespace hearth::chat::jinja {

Result<Bound> Bound::bind(const Context& context, const Given& given,
                          std::initializer_list<std::string_view> parameters, size_t required) {
  if (given.positional.size() > parameters.size()) {
    return context.error("too many arguments: at most " + std::to_string(parameters.size()) +
                         " can be given");
  }
  Bound bound;
  bound.values_.assign(given.positional.begin(), given.positional.end());
  bound.values_.resize(parameters.size());
  for (const auto& [name, value] : given.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) {
      return context.error("there is no argument '" + std::string(name) + "'");
    }
    std::optional<Value>& place = bound.values_[static_cast<size_t>(found - parameters.begin())];
    if (place.has_value()) {
      return context.error("the argument '" + std::string(name) + "' is given twice");
    }
    place = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound.values_[i].has_value()) {
      return context.error("the argument '" + std::string(parameters.begin()[i]) + "' is missing");
    }
  }
  return bound;
}

Result<int64_t> Bound::integer_or(const Context& context, size_t i, int64_t fallback) const {
  if (!has(i)) return fallback;
  const std::optional<int64_t> integer = as_integer(value(i));
  if (integer.has_value()) return *integer;
  return context.error("expected an integer, not a " + std::string(type_name(value(i))));
}

Result<std::string> Bound::string_or(const Context& context, size_t i,
                                     std::string_view fallback) const {
  if (!has(i) || is_none(value(i))) return std::string(fallback);
  const std::string* text = get_string(value(i));
  if (text != nullptr) return *text;
  return context.error("expected a string, not a " + std::string(type_name(value(i))));
}

}  // namespace hearth::chat::jinja
