#include "serve/api/json.h"

#include <algorithm>

namespace hearth::serve {
namespace {

constexpr int kDepthMax = 64;

// How deep brackets outside of strings are nested.
int depth_of(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Parsed<Json> parse_object(std::string_view body) {
  if (depth_of(body) > kDepthMax) {
    return bad_request("the body is nested more than " + std::to_string(kDepthMax) + " deep");
  }
  try {
    Json json = Json::parse(body);
    if (json.is_object()) return json;
    return bad_request("the body must be a JSON object, not " + kind_of(json));
  } catch (const Json::parse_error& error) {
    return bad_request("the body is not valid JSON, at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    return bad_request("the body has a number that is out of range");
  }
}

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, OrderedJson::error_handler_t::replace);
}

std::string kind_of(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return "a boolean";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::object:
      return "an object";
    default:
      return "a number";
  }
}

}  // namespace hearth::serve
