// The cluster as JSON, in the shapes of docs/http.md.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cluster/placement.h"
#include "cluster/view.h"

namespace hearth::daemon {

// `now_unix_ms` turns "last seen 800 ms ago" into a time of day.
std::string state_json(const cluster::ClusterView& view, int64_t now_unix_ms);

std::string instance_json(const cluster::ClusterView& view, const cluster::InstanceView& instance);

// Plans for 1, 2, ... online devices, with the reason where none fits; min_devices of the request
// does not count.
std::string previews_json(const cluster::ClusterView& view, cluster::PlacementRequest request);

std::string health_json(const cluster::ClusterView& view, const std::string& version);

// What `model` is, from any online device that holds its files. kNotFound.
Result<cluster::ModelFacts> find_model(const cluster::ClusterView& view, const std::string& model);

}  // namespace hearth::daemon
