// Typed fields of a JSON object, with OpenAI's errors for what is wrong.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "serve/api/errors.h"
#include "serve/api/json.h"

namespace hearth::serve {

// Reads fields one by one and keeps the first error; after it, values mean nothing. A null field is
// an absent one.
class Fields {
 public:
  // `object` must outlive this. `prefix` names it in errors: "stream_options.".
  explicit Fields(const Json& object, std::string prefix = "")
      : object_(object), prefix_(std::move(prefix)) {}

  const std::optional<ApiError>& error() const { return error_; }
  void fail(std::string_view name, std::string_view problem);

  // Null when absent.
  const Json* find(std::string_view name) const;

  std::string required_string(std::string_view name);
  bool boolean(std::string_view name, bool fallback);
  std::optional<int64_t> integer(std::string_view name, int64_t low, int64_t high);
  // Between `low` and `high`, both included.
  float number(std::string_view name, float fallback, float low, float high);

 private:
  const Json& object_;
  std::string prefix_;
  std::optional<ApiError> error_;
};

}  // namespace hearth::serve
