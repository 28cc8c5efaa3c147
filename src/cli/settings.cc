#include "cli/settings.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/config.h"

namespace hearth::cli {
namespace {

// The keys of config.toml, whichever command reads it: the flags of `hearth serve`.
constexpr std::array<std::string_view, 16> kKeys = {
    "cluster", "data-dir",      "device-port", "listen", "log-json", "model",
    "name",    "no-discovery",  "peer",        "port",   "threads",  "transport",
    "verbose", "device-listen", "quantize",    "kv"};

bool is_key(std::string_view name) { return std::ranges::find(kKeys, name) != kKeys.end(); }

std::string variable_of(std::string_view key) {
  std::string variable = "HEARTH_";
  for (const char c : key) {
    variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return variable;
}

std::string all_keys() {
  std::string text;
  for (const std::string_view key : kKeys) text += (text.empty() ? "" : ", ") + std::string(key);
  return text;
}

Result<void> apply(CLI::Option* option, const std::string& key, const Config& config,
                   const std::string& file) {
  const auto values = config.values(key);
  if (!values.has_value()) return {};
  try {
    for (const std::string& value : *values) option->add_result(value);
    option->run_callback();
  } catch (const CLI::ParseError& error) {
    const std::string variable = variable_of(key);
    const char* text = std::getenv(variable.c_str());
    const bool environment = text != nullptr && *text != '\0';
    return Error(Code::kInvalidArgument, (environment ? variable : file) + ": " + error.what());
  }
  return {};
}

}  // namespace

Result<void> apply_settings(CLI::App& app) {
  const std::string file = directories().config + "/config.toml";
  HEARTH_TRY(const Config config,
             Config::load(file, [](const char* name) -> const char* { return std::getenv(name); }));
  for (const std::string& key : config.file_keys()) {
    if (is_key(key)) continue;
    return Error(Code::kInvalidArgument,
                 file + ": there is no setting '" + key + "'; there are " + all_keys());
  }
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option->count() > 0) continue;
    const std::string& key = option->get_lnames().front();
    if (is_key(key)) HEARTH_RETURN_IF_ERROR(apply(option, key, config, file));
  }
  return {};
}

}  // namespace hearth::cli
