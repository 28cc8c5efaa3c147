// What the HTTP server asks of the device.
#pragma once

#include <memory>
#include <string>

#include "serve/backend.h"

namespace hearth::cluster {
class Cluster;
}

namespace hearth::daemon {

class InstanceRouter;

// `cluster` and `router` must outlive it. `kv`: InstanceView::kv of the instances placed through
// it. Thread-safe.
std::unique_ptr<serve::Backend> make_backend(cluster::Cluster* cluster, InstanceRouter* router,
                                             const std::string& version, const std::string& kv);

}  // namespace hearth::daemon
