// JSON from files nobody vouches for: depth and number of values are bounded before anything is
// built, and every wrong key is named.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::engine {

struct JsonLimits {
  int64_t bytes_max = 4 << 20;
  int64_t values_max = 200'000;
  int depth_max = 32;
  // The parser keeps the string or number that it reads, and all that lies before a string.
  int64_t string_bytes_max = 4 << 20;
  int64_t gap_bytes_max = 1 << 20;  // between two strings
};

// Depth, values and bytes within `limits`? kCorrupt names the file, the bound and the offset. Looks
// only at brackets, commas and strings; whether the text is JSON is the parser's business.
Result<void> check_json_limits(std::string_view text, const std::string& file,
                               const JsonLimits& limits);

// The document; kCorrupt with file and offset if it is not JSON or is past `limits`.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& file,
                                  const JsonLimits& limits);

// parse_json of a file's contents, and of a file that may be missing (then nothing).
Result<nlohmann::json> read_json_file(const std::string& path, const JsonLimits& limits);
Result<std::optional<nlohmann::json>> read_optional_json_file(const std::string& path,
                                                              const JsonLimits& limits);

// kCorrupt for text that is not JSON; `what` is that of nlohmann's exception.
Error json_syntax_error(const std::string& file, std::string_view what);
// kCorrupt for a value that is not what its key is for.
Error wrong_json_value(std::string_view where, std::string_view key, std::string_view expected);

// Typed access to the keys of one object. A key that is absent or null counts as missing. Each
// error names the place (`where`, as "config.json: rope_scaling"), the key, and what was expected.
class JsonObject {
 public:
  // kCorrupt unless `value` is an object. It must outlive this.
  static Result<JsonObject> of(const nlohmann::json& value, std::string where);

  const std::string& where() const { return where_; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  // The value, or null pointer if missing.
  const nlohmann::json* find(std::string_view key) const;

  Result<int64_t> integer(std::string_view key, int64_t min, int64_t max) const;
  Result<int64_t> integer_or(std::string_view key, int64_t fallback, int64_t min,
                             int64_t max) const;
  Result<double> number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> text(std::string_view key) const;
  Result<std::string> text_or(std::string_view key, std::string fallback) const;
  Result<JsonObject> object(std::string_view key) const;
  // The elements of an array of at most 2^31 values; missing is an error.
  Result<const nlohmann::json*> array(std::string_view key) const;

  Error wrong(std::string_view key, std::string_view expected) const;

 private:
  JsonObject(const nlohmann::json* value, std::string where)
      : value_(value), where_(std::move(where)) {}

  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace hearth::engine
