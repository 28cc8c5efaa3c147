// What a device tells its owner on the terminal: who it is at the start, then what happens.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster/view.h"

namespace hearth::daemon {

struct BannerFacts {
  std::string version;
  std::string listen;  // where the API is bound
  int port = 0;
  std::string discovery;  // cluster::Cluster::discovery_status
};

// Several lines, the last with a line break.
std::string banner(const BannerFacts& facts, const cluster::ClusterView& view);

// Turns successive views into lines: devices that come and go, instances that become ready or do
// not.
class Narrator {
 public:
  // The lines to add since the last call, each without a line break.
  std::vector<std::string> tell(const cluster::ClusterView& view);

 private:
  struct Told {
    std::string model;
    std::string line;
  };
  std::set<DeviceId> online_;
  std::map<InstanceId, Told> instances_;
};

}  // namespace hearth::daemon
