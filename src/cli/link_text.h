// Links for people.
#pragma once

#include <string>

namespace hearth::cli {

// "940 Mbit/s", "9.4 Gbit/s"; "-" for 0, which is not measured.
std::string bandwidth_text(double bits_per_second);

// "24 us", "1.3 ms"; "-" for 0.
std::string latency_text(double microseconds);

}  // namespace hearth::cli
