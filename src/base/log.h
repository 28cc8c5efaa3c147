// The process's log: one line an event, on stderr. Text for people, or JSON lines for machines.
//   log::info("device {} joined at {}", id.brief(), address);
// Thread-safe. User text (prompts, answers) and secrets are never logged.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

namespace hearth::log {

enum class Level { kDebug, kInfo, kWarn, kError };

struct Options {
  Level level = Level::kInfo;
  bool json = false;   // {"time":"...","level":"info","message":"..."} a line
  std::string source;  // who speaks, e.g. "runner 3f2a/1"; empty for the daemon
};

// Replaces the log's settings. Call once, early in main.
void configure(const Options& options);

bool enabled(Level level);
void write(Level level, std::string_view message);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kDebug))
    write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kWarn)) write(Level::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kError))
    write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hearth::log
