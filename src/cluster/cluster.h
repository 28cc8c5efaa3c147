// A device's membership in its cluster: discovery, heartbeats, replicated state, and the
// coordinator's planning. Start here. The rules live in a sans-I/O core (core.h: `tick(now, events)
// -> actions`); this class is its adapter to sockets, threads, clock and disk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/identity.h"
#include "cluster/view.h"

namespace grpc {
class Channel;
class Service;
}  // namespace grpc

namespace hearth::cluster {

struct ClusterOptions {
  Identity identity;
  std::string name = "hearth";     // only devices of the same cluster name join each other
  std::string listen = "0.0.0.0";  // device port: gRPC over TLS; "::" listens on IPv6 and IPv4
  int port = 52416;                // 0: any free port
  std::vector<std::string> peers;  // "host:port", dialled until they answer, besides discovery
  bool discovery = true;           // mDNS
  std::string state_path;          // SQLite file; survives kill -9
  DeviceFacts facts;               // id, joined_unix_ms and addresses are filled in here
  std::vector<grpc::Service*>
      services;  // further services of the device port; must outlive the Cluster
};

// Thread-safe.
class Cluster {
 public:
  // Destruction says goodbye to the peers, so that they need not wait for missed heartbeats.
  virtual ~Cluster() = default;

  // kAlreadyExists when the port is taken, or another process has the state file open; kCorrupt
  // when the state file is damaged (says what to do); kInvalidArgument for an impossible name,
  // peer or port.
  static Result<std::unique_ptr<Cluster>> start(ClusterOptions options);

  virtual int port() const = 0;
  virtual std::string discovery_status()
      const = 0;  // for people: "mDNS through the system's Avahi"

  virtual ClusterView view() const = 0;
  // Calls `changed` after every change of view() other than times, from a thread of the cluster's;
  // must not block. Until the handle is destroyed.
  virtual std::shared_ptr<void> watch(std::function<void()> changed) = 0;

  // This device's own documents.
  virtual void set_facts(const DeviceFacts& facts) = 0;  // id and addresses are kept
  virtual void set_runners(
      const std::vector<RunnerView>& runners) = 0;  // replaces all of this device's

  // Desired state. On disk here when they return; peers follow within a fraction of a second.
  // kInvalidArgument, kResourceExhausted (too many instances), kUnavailable (this device stops).
  // Not from a watcher.
  virtual Result<InstanceId> create_instance(const InstanceRequest& request) = 0;
  virtual Result<void> delete_instance(const InstanceId& id) = 0;  // kNotFound

  // An authenticated channel to another device: its certificate is the one its id names.
  // kUnavailable when it is not online.
  virtual Result<std::shared_ptr<grpc::Channel>> channel(const DeviceId& id) const = 0;
};

}  // namespace hearth::cluster
