// Calls to other devices: the core's Call actions carried out over gRPC, without waiting.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/gate.h"
#include "cluster/core/core.h"
#include "cluster/identity.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace hearth::cluster {

// Thread-safe.
class PeerClient {
 public:
  // `sink` gets one Answered for each call, from threads of gRPC's.
  PeerClient(Identity identity, std::function<void(event::Answered)> sink);
  // Cancels what is under way and waits until `sink` is not called any more.
  ~PeerClient();

  void start(const Call& call);
  // The next call to this address makes a new connection, to whoever is there then.
  void close(const std::string& address);
  // Addresses whose connection was lost since the last call.
  std::vector<std::string> take_lost();
  // Waits until every call is answered, at most until `timeout`.
  void drain(Duration timeout);

  // The connection to `id` at `address`; null when there is none.
  std::shared_ptr<grpc::Channel> channel(const std::string& address, const DeviceId& id) const;

 private:
  struct Link;
  template <class RequestMessage, class ReplyMessage>
  struct Pending;

  std::shared_ptr<Link> link_to(const std::string& address);
  template <class RequestMessage, class ReplyMessage, class Method>
  void invoke(const Call& call, Duration timeout, RequestMessage request, Method method);

  const Identity identity_;
  const std::function<void(event::Answered)> sink_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Link>> links_;
  std::set<std::shared_ptr<grpc::ClientContext>> calls_;
  std::condition_variable idle_;
  bool closing_ = false;
};

}  // namespace hearth::cluster
