// TLS between devices: both sides show their self-signed certificate, prove that they hold its key,
// and are judged by its fingerprint alone. No authority signs anything.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/identity.h"

namespace hearth::cluster {

// Whom a channel may reach: whoever answers first, and from then on only that device. Thread-safe.
class Pin {
 public:
  // Whether the connection to this device may stand.
  bool accept(const DeviceId& id) {
    std::lock_guard lock(mutex_);
    if (id_.empty()) id_ = id;
    return id_ == id;
  }
  // Empty until somebody answered.
  DeviceId id() const {
    std::lock_guard lock(mutex_);
    return id_;
  }

 private:
  mutable std::mutex mutex_;
  DeviceId id_;
};

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const Identity& identity,
                                                              std::shared_ptr<Pin> pin);

// `admit` decides on each call, by method ("/hearth.proto.ClusterPeer/Hello") and caller; it must
// not block. Calls without a certificate never reach it.
using Admit = std::function<bool(std::string_view method, const DeviceId& caller)>;
std::shared_ptr<grpc::ServerCredentials> server_credentials(const Identity& identity, Admit admit);

}  // namespace hearth::cluster
