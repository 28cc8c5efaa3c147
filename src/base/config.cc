#include "base/config.h"

#include <fmt/format.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace hearth {
namespace {

std::string xdg(const Environment& get, const char* variable, const char* under_home) {
  const char* base = get(variable);
  // The specification says that relative paths are invalid and ignored.
  if (base != nullptr && base[0] == '/') return std::string(base) + "/hearth";
  const char* home = get("HOME");
  return std::string(home != nullptr && home[0] != '\0' ? home : "/root") + "/" + under_home +
         "/hearth";
}

std::string text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  std::ostringstream out;
  node.visit([&out](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) out << std::boolalpha << value.get();
  });
  return out.str();
}

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t comma = text.find(',');
    if (const auto part = text.substr(0, comma); !part.empty()) parts.emplace_back(part);
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

Directories directories(const Environment& get) {
  const char* data = get("HEARTH_DATA_DIR");
  return Directories{
      .config = xdg(get, "XDG_CONFIG_HOME", ".config"),
      .data = data != nullptr && data[0] != '\0' ? data : xdg(get, "XDG_DATA_HOME", ".local/share"),
      .cache = xdg(get, "XDG_CACHE_HOME", ".cache"),
  };
}

Directories directories() {
  return directories([](const char* name) -> const char* { return std::getenv(name); });
}

Result<Config> Config::load(const std::string& path, const Environment& get) {
  Config config;
  config.environment_ = get;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return config;
  const toml::parse_result parsed = toml::parse_file(path);
  if (!parsed) {
    const auto& where = parsed.error().source().begin;
    return Error(Code::kInvalidArgument,
                 fmt::format("{}:{}: {}", path, where.line, parsed.error().description()));
  }
  for (const auto& [key, node] : parsed.table()) {
    std::vector<std::string> values;
    if (const auto* list = node.as_array()) {
      for (const auto& item : *list) values.push_back(text_of(item));
    } else if (node.is_value()) {
      values.push_back(text_of(node));
    } else {
      return Error(Code::kInvalidArgument,
                   fmt::format("{}:{}: '{}' is a table; settings are flat, as in port = 52415",
                               path, node.source().begin.line, std::string_view(key)));
    }
    config.file_.emplace(std::string(key), std::move(values));
  }
  return config;
}

std::optional<std::vector<std::string>> Config::values(std::string_view key) const {
  std::string variable = "HEARTH_";
  for (const char c : key) {
    variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  if (const char* text = environment_(variable.c_str()); text != nullptr && text[0] != '\0') {
    return split_commas(text);
  }
  if (const auto found = file_.find(key); found != file_.end()) return found->second;
  return std::nullopt;
}

std::vector<std::string> Config::file_keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, values] : file_) keys.push_back(key);
  return keys;
}

}  // namespace hearth
