// What is to be measured before devices can share a model well. Pure functions.
#pragma once

#include <string>

#include "cluster/placement.h"
#include "cluster/view.h"

namespace hearth::cluster {

// What of the plan's devices nobody has measured yet although it decides how they share the model,
// for people: "the speed of kitchen", "the link between kitchen and attic"; empty if nothing is.
// A pipeline that was asked for depends on speeds alone; a plan for one device on nothing, nor does
// one for a model whose costs are not known. A link that both ends tried in vain counts as
// measured. REQUIRES: the plan's devices are of the view.
std::string missing_measurement(const Plan& plan, const PlacementRequest& request,
                                const ClusterView& view);

}  // namespace hearth::cluster
