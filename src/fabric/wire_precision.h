// As what the numbers of sums travel (collectives.h): names, sizes, and which is worth it.
#pragma once

#include <optional>
#include <string_view>

#include "fabric/collectives.h"

namespace hearth::fabric {

inline constexpr WirePrecision kWirePrecisions[] = {WirePrecision::kF32, WirePrecision::kBf16,
                                                    WirePrecision::kQ8};

// "f32", "bf16", "q8".
std::string_view to_string(WirePrecision wire);
std::optional<WirePrecision> parse_wire_precision(std::string_view name);

// Of one number on the wire.
double wire_bytes(WirePrecision wire);

// What pays over a link of this speed: f32 from 5 Gbit/s on, where a prompt's sums cost less than
// its products; bf16 from 500 Mbit/s on (gigabit Ethernet); q8 below (Wi-Fi, 100 Mbit/s), where a
// prompt would otherwise wait for the wire most of the time. Every step down errs more.
WirePrecision wire_precision_for(double bits_per_second);

}  // namespace hearth::fabric
