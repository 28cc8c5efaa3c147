#include "serve/api/fields.h"

#include <fmt/format.h>

namespace hearth::serve {

void Fields::fail(std::string_view name, std::string_view problem) {
  if (error_.has_value()) return;
  const std::string param = prefix_ + std::string(name);
  error_ = bad_request(fmt::format("'{}' {}", param, problem), param);
}

const Json* Fields::find(std::string_view name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string Fields::required_string(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) {
    fail(name, "is required");
  } else if (!value->is_string()) {
    fail(name, "must be a string, not " + kind_of(*value));
  } else if (value->get_ref<const std::string&>().empty()) {
    fail(name, "must not be empty");
  } else {
    return value->get<std::string>();
  }
  return "";
}

bool Fields::boolean(std::string_view name, bool fallback) {
  const Json* value = find(name);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fail(name, "must be a boolean, not " + kind_of(*value));
  return fallback;
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t low, int64_t high) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) {
    fail(name, "must be an integer, not " +
                   (value->is_number() ? std::string("a fraction") : kind_of(*value)));
    return std::nullopt;
  }
  const bool too_big =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (too_big || value->get<int64_t>() < low || value->get<int64_t>() > high) {
    fail(name, fmt::format("must be {} to {}", low, high));
    return std::nullopt;
  }
  return value->get<int64_t>();
}

float Fields::number(std::string_view name, float fallback, float low, float high) {
  const Json* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_number()) {
    fail(name, "must be a number, not " + kind_of(*value));
    return fallback;
  }
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    fail(name, fmt::format("must be {} to {}", low, high));
    return fallback;
  }
  return static_cast<float>(number);
}

}  // namespace hearth::serve
