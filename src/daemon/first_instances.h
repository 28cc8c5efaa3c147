// What a device places by itself when it starts: the models named on its command line, and Ember on
// a device that starts for the first time in a cluster that runs nothing.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/view.h"

namespace hearth::cluster {
class Cluster;
}

namespace hearth::daemon {

// The models to place now. `wanted`: ids named by a person. `first_start`: this data directory has
// never seen an instance. Devices that start together agree: Ember is the coordinator's to place.
std::vector<std::string> instances_to_place(const cluster::ClusterView& view,
                                            const std::vector<std::string>& wanted,
                                            bool first_start);

// Decides once, on its own thread, after giving discovery 2 s to find a cluster to join.
class FirstInstances {
 public:
  // `cluster` must outlive it. `kv`: InstanceView::kv of what is placed.
  FirstInstances(cluster::Cluster* cluster, std::string data_dir, std::vector<std::string> wanted,
                 std::string kv);
  ~FirstInstances();

 private:
  void decide();

  cluster::Cluster* const cluster_;
  const std::string marker_;  // a file that exists once a first start was decided
  const std::vector<std::string> wanted_;
  const std::string kv_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::daemon
