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
  std::string sharding = "auto";  // one of kShardings
};

// The plan with the fewest devices, at least min_devices, whose memory holds the model (weights
// x 1.2 plus KV cache), biggest first as head. Of the ways to cut it over these devices (a
// pipeline, a tensor group, a pipeline of such groups): a tensor group if all its links exceed 40
// Gbit/s, else what is predicted to be the fastest, else a pipeline. Layers and slices are dealt
// out by the times that devices measured of the model's layers (token_costs.h), by counted bytes
// and memory bandwidth where none has run it, as far as their memory goes; by memory where speed is
// not known.
//
// Only online devices that hold the model's files count. kResourceExhausted or kInvalidArgument say
// in one sentence what is missing ("ember needs 2 devices and 1 is online"). epoch and token are
// left to the caller.
Result<Plan> place(const PlacementRequest& request, const std::vector<DeviceView>& devices);

}  // namespace hearth::cluster
