// A device at work: identity, cluster, runners and API wired together. Start here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/view.h"
#include "engine/rank_model.h"

namespace hearth::daemon {

struct DaemonOptions {
  std::string version;
  std::string data_dir;                   // identity, state and models/ live here
  std::string name;                       // of the device; empty: the host's
  std::string cluster = "hearth";         // only devices of the same cluster name join each other
  std::string listen = "127.0.0.1";       // API and dashboard
  int port = 52415;                       // of them; 0: any free port
  std::string device_listen = "0.0.0.0";  // gRPC between devices, and ranks of instances
  int device_port = 52416;                // 0: any free port
  std::vector<std::string> peers;         // "host:port", besides discovery
  bool discovery = true;
  std::vector<std::string> models;  // aliases or paths: held, and placed if no instance runs them
  int threads = 0;                  // per runner; 0: the engine's choice
  std::string transport = "auto";   // between ranks: fabric/transport.h
  engine::Quantize quantize = engine::Quantize::kNone;  // of what this device loads
  engine::KvType kv = engine::KvType::kQ16;             // of instances made here, on all ranks
};

// Thread-safe. Destruction ends the runners, says goodbye to the cluster and waits.
class Daemon {
 public:
  virtual ~Daemon() = default;

  // kAlreadyExists when another daemon holds the data directory or a port; kNotFound and
  // kUnsupported for a model that cannot be held. Every error says what to do. A device that starts
  // for the first time and finds no instance in its cluster places Ember.
  static Result<std::unique_ptr<Daemon>> start(DaemonOptions options);

  virtual int port() const = 0;
  virtual std::string discovery_status() const = 0;
  virtual cluster::ClusterView view() const = 0;
  // As cluster::Cluster::watch.
  virtual std::shared_ptr<void> watch(std::function<void()> changed) = 0;
};

}  // namespace hearth::daemon
