// What this device must do so that its runners match the cluster's plans. A pure function: the
// processes are runner_host.h's.
#pragma once

#include <string>
#include <vector>

#include "cluster/view.h"
#include "daemon/seat.h"

namespace hearth::daemon {

// What a runner loads, and keeps through epochs.
struct ModelPart {
  std::string model;
  std::string kv;  // InstanceView::kv
  int layer_begin = 0;
  int layer_end = 0;
  int slice = 0;
  std::vector<double> shares;  // of the stage's ranks; empty where this one is alone

  bool operator==(const ModelPart&) const = default;
};

// A runner of this device, from the moment it is wanted until its process is gone.
struct LocalRunner {
  cluster::RunnerView view;
  ModelPart part;
  bool connect_asked = false;  // a ConnectRunner was already acted upon
  bool stopping = false;       // a StopRunner was already acted upon
};

struct StartRunner {
  InstanceId instance;
  Seat seat;
  ModelPart part;
};

struct RenewRunner {
  InstanceId instance;
  int64_t epoch = 0;  // as it is now
  int rank = 0;
  Seat seat;  // as it is to be
};

struct ConnectRunner {
  InstanceId instance;
  int64_t epoch = 0;
  int rank = 0;
  std::vector<std::string>
      addresses;  // "host:port" of every rank's rendezvous; empty text for its own
  std::string token;
  std::string wire = "f32";  // RankPlan::wire
};

struct StopRunner {
  InstanceId instance;
  int64_t epoch = 0;
  int rank = 0;
};

struct Actions {
  std::vector<StopRunner> stop;
  std::vector<RenewRunner> renew;
  std::vector<StartRunner> start;
  std::vector<ConnectRunner> connect;
  bool empty() const { return stop.empty() && renew.empty() && start.empty() && connect.empty(); }
};

// Rules:
// - a rank of a current plan on this device has a runner; one that failed stays, so that it is
//   reported, until the coordinator plans a new epoch;
// - a runner that lives goes over to a newer epoch in which this device has the same part of the
//   same model, be its group at work or failed and its model loaded or on the way;
// - any other runner of a deleted instance or another epoch is stopped, and its successor starts
//   when it is gone, so that the memory of both is never needed at once;
// - a loaded runner is connected once every rank of its epoch is loaded and this device knows where
//   to reach it.
Actions reconcile(const cluster::ClusterView& view, const std::vector<LocalRunner>& local);

}  // namespace hearth::daemon
