// Random numbers by position: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers:
// as easy as 1, 2, 3", SC 2011). Any draw of a seed's stream can be made without the ones before.
#pragma once

#include <array>
#include <cstdint>

namespace hearth::engine {

// Philox4x32 with 10 rounds.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The `index`-th number of the seed's stream, uniform in [0, 1) with 53 bits.
double uniform_at(uint64_t seed, uint64_t index);

}  // namespace hearth::engine
