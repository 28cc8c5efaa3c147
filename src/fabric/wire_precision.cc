#include "fabric/wire_precision.h"

namespace hearth::fabric {
namespace {

constexpr double kExactFrom = 5e9;
constexpr double kHalfFrom = 500e6;

}  // namespace

std::string_view to_string(WirePrecision wire) {
  switch (wire) {
    case WirePrecision::kBf16:
      return "bf16";
    case WirePrecision::kQ8:
      return "q8";
    case WirePrecision::kF32:
      break;
  }
  return "f32";
}

std::optional<WirePrecision> parse_wire_precision(std::string_view name) {
  for (const WirePrecision wire : kWirePrecisions) {
    if (to_string(wire) == name) return wire;
  }
  return std::nullopt;
}

double wire_bytes(WirePrecision wire) {
  switch (wire) {
    case WirePrecision::kBf16:
      return 2;
    case WirePrecision::kQ8:
      return 1.125;
    case WirePrecision::kF32:
      break;
  }
  return 4;
}

WirePrecision wire_precision_for(double bits_per_second) {
  if (bits_per_second >= kExactFrom) return WirePrecision::kF32;
  return bits_per_second >= kHalfFrom ? WirePrecision::kBf16 : WirePrecision::kQ8;
}

}  // namespace hearth::fabric
