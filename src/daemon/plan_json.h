// Links, speeds and plans as JSON, in the shapes of docs/http.md.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "cluster/view.h"

namespace hearth::daemon {

// By device: the links from it, as it measured them.
nlohmann::ordered_json links_json(const cluster::ClusterView& view);

// By device: what it can do at most, and how long models took it for a token.
nlohmann::ordered_json speeds_json(const cluster::ClusterView& view);

// Ranks, the links that they talk over, and what is predicted; null while there is no plan.
nlohmann::ordered_json plan_json(const cluster::ClusterView& view, const cluster::Plan& plan);

}  // namespace hearth::daemon
