// Which devices hold which layers. Pure functions of what the cluster knows.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/view.h"

namespace hearth::cluster {

struct PlacementRequest {
  ModelFacts model;
  int min_devices = 1;     // use at least this many
  std::string kv = "q16";  // numbers of the KV cache; of others than the model's none is counted
};

// The plan with the fewest devices, at least min_devices, whose memory holds the model: weights
// x 1.2 plus KV cache, layers proportional to available memory (every rank at least one), biggest
// first as head. Only online devices that hold the model's files count. kResourceExhausted or
// kInvalidArgument say in one sentence what is missing ("ember needs 2 devices and 1 is online").
// epoch and token are left to the caller.
Result<Plan> place(const PlacementRequest& request, const std::vector<DeviceView>& devices);

}  // namespace hearth::cluster
