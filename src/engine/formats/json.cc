#include "engine/formats/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/formats/mapped_file.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

// A syntax error quotes what was read, which may be all of a long string.
constexpr size_t kReasonBytesMax = 512;

Error past_limit(const std::string& file, size_t offset, std::string_view what, int64_t limit) {
  return Error(Code::kCorrupt, file + ": byte " + std::to_string(offset) + ": more than " +
                                   std::to_string(limit) + " " + std::string(what));
}

}  // namespace

Result<void> check_json_limits(std::string_view text, const std::string& file,
                               const JsonLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.bytes_max) {
    return past_limit(file, text.size(), "bytes of JSON", limits.bytes_max);
  }
  int depth = 0;
  int64_t values = 0;
  bool in_string = false;
  size_t begin = 0;  // of the string, or of what lies between two
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int64_t bytes_max = in_string ? limits.string_bytes_max : limits.gap_bytes_max;
    if (static_cast<int64_t>(i - begin) > bytes_max) {
      return past_limit(file, i, in_string ? "bytes in a string" : "bytes between two strings",
                        bytes_max);
    }
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
        begin = i;
      }
      continue;
    }
    if (c == '"') {
      in_string = true;
      begin = i;
    } else if (c == '[' || c == '{') {
      ++values;
      if (++depth > limits.depth_max) {
        return past_limit(file, i, "levels of nesting", limits.depth_max);
      }
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',') {
      ++values;
    }
    if (values > limits.values_max) return past_limit(file, i, "values", limits.values_max);
  }
  return {};
}

Error json_syntax_error(const std::string& file, std::string_view what) {
  // "[json.exception.parse_error.101] parse error at line 1, column 2: ...".
  const size_t begin = what.find("] ");
  std::string storage;  // what() quotes the text, whatever its bytes
  std::string_view reason = begin == std::string_view::npos ? what : what.substr(begin + 2);
  reason = reason.substr(0, kReasonBytesMax);
  return Error(Code::kCorrupt, file + ": " + std::string(valid_utf8(reason, storage)));
}

Error wrong_json_value(std::string_view where, std::string_view key, std::string_view expected) {
  return Error(Code::kCorrupt, std::string(where) + ": key " + std::string(key) + ": expected " +
                                   std::string(expected));
}

Result<json> parse_json(std::string_view text, const std::string& file, const JsonLimits& limits) {
  HEARTH_RETURN_IF_ERROR(check_json_limits(text, file, limits));
  try {
    return json::parse(text);
  } catch (const json::exception& e) {
    return json_syntax_error(file, e.what());
  }
}

Result<json> read_json_file(const std::string& path, const JsonLimits& limits) {
  HEARTH_TRY(const MappedFile file, MappedFile::open(path));
  HEARTH_TRY(json document, parse_json(file.text(), path, limits));
  HEARTH_RETURN_IF_ERROR(file.check_intact());
  return document;
}

Result<std::optional<json>> read_optional_json_file(const std::string& path,
                                                    const JsonLimits& limits) {
  Result<json> value = read_json_file(path, limits);
  if (value.ok()) return std::optional<json>(std::move(*value));
  if (value.error().code() == Code::kNotFound) return std::optional<json>();
  return value.error();
}

Result<JsonObject> JsonObject::of(const json& value, std::string where) {
  if (!value.is_object()) return Error(Code::kCorrupt, where + ": expected an object");
  return JsonObject(&value, std::move(where));
}

const json* JsonObject::find(std::string_view key) const {
  const auto found = value_->find(key);
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

Error JsonObject::wrong(std::string_view key, std::string_view expected) const {
  return wrong_json_value(where_, key, expected);
}

Result<int64_t> JsonObject::integer(std::string_view key, int64_t min, int64_t max) const {
  const json* value = find(key);
  const bool fits = value != nullptr && value->is_number_integer() &&
                    !(value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX);
  if (!fits || value->get<int64_t>() < min || value->get<int64_t>() > max) {
    return wrong(key, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return value->get<int64_t>();
}

Result<int64_t> JsonObject::integer_or(std::string_view key, int64_t fallback, int64_t min,
                                       int64_t max) const {
  return has(key) ? integer(key, min, max) : Result<int64_t>(fallback);
}

Result<double> JsonObject::number(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) {
    return wrong(key, "a number");
  }
  return value->get<double>();
}

Result<double> JsonObject::number_or(std::string_view key, double fallback) const {
  return has(key) ? number(key) : Result<double>(fallback);
}

Result<bool> JsonObject::boolean_or(std::string_view key, bool fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<std::string> JsonObject::text(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_string()) return wrong(key, "a string");
  return value->get<std::string>();
}

Result<std::string> JsonObject::text_or(std::string_view key, std::string fallback) const {
  return has(key) ? text(key) : Result<std::string>(std::move(fallback));
}

Result<JsonObject> JsonObject::object(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_object()) return wrong(key, "an object");
  return JsonObject(value, where_ + ": " + std::string(key));
}

Result<const json*> JsonObject::array(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_array()) return wrong(key, "an array");
  return value;
}

}  // namespace hearth::engine
