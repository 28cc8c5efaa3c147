// A runner's place in the group of an epoch.
#pragma once

#include <cstdint>

namespace hearth::daemon {

struct Seat {
  int64_t epoch = 0;
  int rank = 0;
  int world_size = 1;
};

}  // namespace hearth::daemon
