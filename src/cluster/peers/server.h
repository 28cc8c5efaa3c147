// The device port: gRPC over TLS. Takes other devices' calls to the core, and carries further
// services.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/core/core.h"
#include "cluster/identity.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace hearth::cluster {

// Thread-safe.
class PeerServer {
 public:
  struct Options {
    Identity identity;
    std::string listen;
    int port = 0;  // 0: any
    std::vector<grpc::Service*> services;
    std::function<bool(const DeviceId&)> is_member;  // must not block
    // Gets a call for the core; false when it cannot be taken now. Must not block.
    std::function<bool(event::Called)> sink;
  };

  // kAlreadyExists when the port is taken.
  static Result<std::unique_ptr<PeerServer>> start(Options options);
  virtual ~PeerServer() = default;  // stops

  virtual int port() const = 0;
  virtual void answer(const Answer& answer) = 0;
  // Refuses further calls, lets those under way end for a moment, then cancels them. Idempotent.
  virtual void stop() = 0;
};

// The host of gRPC's name for a caller, "ipv6:%5Bfe80::1%25eth0%5D:4242", as in "host:port". Empty
// when it has none.
std::string host_of_peer(std::string_view peer);

}  // namespace hearth::cluster
