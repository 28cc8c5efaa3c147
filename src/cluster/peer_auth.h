// Who calls: for services that travel on the device port (ClusterOptions::services).
#pragma once

#include "base/ids.h"
#include "base/result.h"

namespace grpc {
class ServerContextBase;
}  // namespace grpc

namespace hearth::cluster {

// The device whose certificate the call came with. The device port lets only members of the cluster
// reach such services, so a handler there may trust it. Works with ServerContext and
// CallbackServerContext; any thread, while the call is under way. kPermissionDenied when the call
// came without a certificate, as on another server.
Result<DeviceId> peer_of(const grpc::ServerContextBase& context);

}  // namespace hearth::cluster
