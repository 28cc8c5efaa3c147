// The gRPC service hearth.proto.Links on the device port: tells members of the cluster where they
// can measure the links to this device.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace grpc {
class Service;
}

namespace hearth::daemon {

// Answers probes from construction to destruction (fabric/link_probe.h).
class LinksService {
 public:
  virtual ~LinksService() = default;
  // Probes are answered at an ephemeral port of `host` (empty: of every interface). kUnavailable.
  static Result<std::unique_ptr<LinksService>> make(const std::string& host);

  virtual grpc::Service* service() = 0;
};

}  // namespace hearth::daemon
