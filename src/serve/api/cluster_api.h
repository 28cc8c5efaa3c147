// Hearth's own endpoints: health, state, events, instances.
#pragma once

#include "serve/http/router.h"
#include "serve/server.h"

namespace hearth::serve {

class Backend;

// `backend` must outlive the router.
void add_cluster_routes(Router& router, Backend& backend, const ServerOptions& options);

}  // namespace hearth::serve
