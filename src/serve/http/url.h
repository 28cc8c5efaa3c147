// Request targets: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::serve {

// "%41" to "A". Nothing for malformed escapes, escaped NUL bytes and text that is not UTF-8.
std::optional<std::string> percent_decode(std::string_view text);

struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};
// Takes "/path?query" and "http://host/path?query" apart. Nothing when malformed.
std::optional<Target> parse_target(std::string_view target);

}  // namespace hearth::serve
