// Sizes for people: literals in code, "1.5 GiB" in text, "8G" on a command line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

constexpr int64_t operator""_KiB(unsigned long long n) { return static_cast<int64_t>(n) << 10; }
constexpr int64_t operator""_MiB(unsigned long long n) { return static_cast<int64_t>(n) << 20; }
constexpr int64_t operator""_GiB(unsigned long long n) { return static_cast<int64_t>(n) << 30; }

// "812 B", "1.5 GiB": three significant digits at most.
std::string format_bytes(int64_t bytes);

// "512", "64K", "8G", "1.5GiB", any case; powers of 1024. kInvalidArgument otherwise.
Result<int64_t> parse_bytes(std::string_view text);

}  // namespace hearth
