#include "cluster/core/measurements.h"

#include <fmt/format.h>

#include <vector>

#include "cluster/links.h"
#include "cluster/prediction.h"

namespace hearth::cluster {
namespace {

bool is_known(const DeviceFacts& a, const DeviceFacts& b) {
  return link_between(a, b) != nullptr || (was_measured(a, b.id) && was_measured(b, a.id));
}

}  // namespace

std::string missing_measurement(const Plan& plan, const PlacementRequest& request,
                                const ClusterView& view) {
  if (plan.ranks.size() < 2 || request.model.token_bytes <= 0) return "";
  std::vector<const DeviceFacts*> planned;
  for (const RankPlan& rank : plan.ranks) planned.push_back(&view.devices.at(rank.device).facts);
  for (const DeviceFacts* device : planned) {
    if (device->memory_bytes_per_second <= 0 || device->multiply_adds_per_second <= 0) {
      return fmt::format("the speed of {}", view.name_of(device->id));
    }
  }
  if (request.sharding == "pipeline" || request.model.slices_max < 2) return "";
  for (size_t i = 0; i < planned.size(); ++i) {
    for (size_t j = i + 1; j < planned.size(); ++j) {
      if (is_known(*planned[i], *planned[j])) continue;
      return fmt::format("the link between {} and {}", view.name_of(planned[i]->id),
                         view.name_of(planned[j]->id));
    }
  }
  return "";
}

}  // namespace hearth::cluster
