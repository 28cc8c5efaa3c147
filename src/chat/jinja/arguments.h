// What a native function was called with, in the order it declares.
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// The arguments of one call, one place for each declared parameter.
class Bound {
 public:
  // kInvalidArgument for unknown, doubled, missing (the first `required` of them) or too many
  // arguments.
  static Result<Bound> bind(const Context& context, const Given& given,
                            std::initializer_list<std::string_view> parameters,
                            size_t required = 0);

  bool has(size_t i) const { return values_[i].has_value(); }
  // REQUIRES: has(i).
  const Value& value(size_t i) const { return *values_[i]; }
  // The argument or what stands for its absence.
  Value value_or(size_t i, Value fallback) const { return has(i) ? value(i) : fallback; }
  bool truth_or(size_t i, bool fallback) const { return has(i) ? is_true(value(i)) : fallback; }

  // kInvalidArgument for values of another type.
  Result<int64_t> integer_or(const Context& context, size_t i, int64_t fallback) const;
  // None stands for the fallback, too.
  Result<std::string> string_or(const Context& context, size_t i, std::string_view fallback) const;

 private:
  std::vector<std::optional<Value>> values_;
};

}  // namespace hearth::chat::jinja
