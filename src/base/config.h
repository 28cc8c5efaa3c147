// Settings in layers: a flag beats the environment (HEARTH_PORT), which beats config.toml, which
// beats the default. Directories follow the XDG base directory specification
// (https://specifications.freedesktop.org/basedir-spec/latest/).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

// Where Hearth keeps things. Nothing is created by asking.
struct Directories {
  std::string config;  // $XDG_CONFIG_HOME/hearth, ~/.config/hearth
  std::string data;    // $HEARTH_DATA_DIR, $XDG_DATA_HOME/hearth, ~/.local/share/hearth
  std::string cache;   // $XDG_CACHE_HOME/hearth, ~/.cache/hearth
};

// Reads the environment through `get` (nullptr when unset), for tests.
using Environment = std::function<const char*(const char*)>;
Directories directories(const Environment& get);
Directories directories();

// The environment and config.toml as one flat table: "peer" -> {"a:1", "b:2"}.
class Config {
 public:
  // Reads `path` if it exists. Keys are the long flags without dashes: `port = 52415`,
  // `peer = ["10.0.0.2:52416"]`, `data-dir = "/srv/hearth"`. kInvalidArgument names file and line.
  static Result<Config> load(const std::string& path, const Environment& get);

  // The values of `key` ("data-dir") from HEARTH_DATA_DIR (lists split at commas), else from the
  // file; nothing when neither has it.
  std::optional<std::vector<std::string>> values(std::string_view key) const;

  // Keys of the file, sorted: the command line refuses those that it does not know.
  std::vector<std::string> file_keys() const;

 private:
  Environment environment_;
  std::map<std::string, std::vector<std::string>, std::less<>> file_;
};

}  // namespace hearth
