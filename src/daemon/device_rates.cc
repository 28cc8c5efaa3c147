#include "daemon/device_rates.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/units.h"
#include "daemon/device_facts.h"
#include "engine/machine.h"

namespace hearth::daemon {

DeviceRates measure_rates() {
  const auto ceilings = engine::Ceilings::create();
  if (!ceilings.ok()) {
    log::warn("this device's speed is not known: {}", ceilings.error().message());
    return {};
  }
  // Written, so that it is memory and not the system's one page of zeros.
  const int64_t bytes = std::min<int64_t>(128_MiB, read_memory().available_bytes / 8);
  const std::vector<std::byte> memory(static_cast<size_t>(bytes), std::byte{1});
  return {.memory_bytes_per_second = static_cast<int64_t>((*ceilings)->read_rate(memory)),
          .multiply_adds_per_second =
              static_cast<int64_t>((*ceilings)->multiply_add_rate(/*quantised=*/true))};
}

}  // namespace hearth::daemon
