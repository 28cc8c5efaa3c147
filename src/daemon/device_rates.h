// How fast this device is, for the predictions of plans.
#pragma once

#include <cstdint>

namespace hearth::daemon {

struct DeviceRates {
  int64_t memory_bytes_per_second = 0;
  int64_t multiply_adds_per_second = 0;  // of quantised activations
};

// Measured now, by all cores, with the kernels that models run with (engine/machine.h): takes some
// tenths of a second, and at most 128 MiB or an eighth of the memory that is free. Zeros if the
// system refuses threads.
DeviceRates measure_rates();

}  // namespace hearth::daemon
