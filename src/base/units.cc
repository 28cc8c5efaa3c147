#include "base/units.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

namespace hearth {
namespace {
constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
}

std::string format_bytes(int64_t bytes) {
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while ((value >= 999.5 || value <= -999.5) && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.3g} {}", value, kUnits[unit]);
}

Result<int64_t> parse_bytes(std::string_view text) {
  const Error error(
      Code::kInvalidArgument,
      fmt::format("'{}' is not a size; write a number with K, M, G or T, as in 8G", text));
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || !(value >= 0)) return error;
  std::string suffix;
  for (const char* p = end; p != text.data() + text.size(); ++p) {
    suffix += static_cast<char>(std::toupper(static_cast<unsigned char>(*p)));
  }
  int shift = 0;
  if (!suffix.empty() && suffix != "B") {
    const size_t power = std::string_view("KMGTP").find(suffix[0]);
    const std::string_view rest = std::string_view(suffix).substr(1);
    if (power == std::string_view::npos || !(rest.empty() || rest == "B" || rest == "IB"))
      return error;
    shift = static_cast<int>(power + 1) * 10;
  }
  value *= static_cast<double>(int64_t{1} << shift);
  if (value >= 9.2e18) return error;
  return static_cast<int64_t>(value);
}

}  // namespace hearth
