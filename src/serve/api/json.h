// Reading and writing JSON bodies.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "serve/api/errors.h"

namespace hearth::serve {

// Objects with many keys are read in n log n time; answers keep their order of keys.
using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// A value or why the request is refused.
template <class T>
using Parsed = std::variant<T, ApiError>;

// A request's body, which must be an object, nested at most 64 deep.
Parsed<Json> parse_object(std::string_view body);

// One line of UTF-8.
std::string dump(const OrderedJson& json);

// "a string", "an object", ...: for messages.
std::string kind_of(const Json& json);

}  // namespace hearth::serve
