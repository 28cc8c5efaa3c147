#include "cli/link_text.h"

#include <fmt/format.h>

namespace hearth::cli {

std::string bandwidth_text(double bits_per_second) {
  if (bits_per_second <= 0) return "-";
  if (bits_per_second < 1e9) return fmt::format("{:.3g} Mbit/s", bits_per_second / 1e6);
  return fmt::format("{:.3g} Gbit/s", bits_per_second / 1e9);
}

std::string latency_text(double microseconds) {
  if (microseconds <= 0) return "-";
  if (microseconds < 1000) return fmt::format("{:.0f} us", microseconds);
  return fmt::format("{:.3g} ms", microseconds / 1000);
}

}  // namespace hearth::cli
