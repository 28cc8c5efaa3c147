// Finds who answers for a model: the ready instance with the fewest requests at work, wherever its
// head is.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "cluster/view.h"
#include "runtime/generator.h"

namespace hearth::cluster {
class Cluster;
}

namespace hearth::daemon {

class RunnerHost;

// The instance of `view` that a request for `model` (a model's id or an instance's) goes to.
// `load(id)`: requests at work. kNotFound when there is none, kUnavailable when none is ready.
Result<InstanceId> choose_instance(const cluster::ClusterView& view, const std::string& model,
                                   const std::function<int(const InstanceId&)>& load);

// Thread-safe. `cluster` and `runners` must outlive it; generators it gave out may outlive it.
class InstanceRouter {
 public:
  InstanceRouter(cluster::Cluster* cluster, const RunnerHost* runners)
      : cluster_(cluster), runners_(runners) {}

  // For clients of this device. Errors as choose_instance.
  Result<std::shared_ptr<runtime::Generator>> find(const std::string& model);

  // For other devices: only where the instance's head is here. kUnavailable otherwise.
  Result<std::shared_ptr<runtime::Generator>> find_local(const InstanceId& instance) const;

 private:
  using Counter = std::shared_ptr<std::atomic<int>>;
  Counter counter(const InstanceId& instance);

  cluster::Cluster* const cluster_;
  const RunnerHost* const runners_;
  std::mutex mutex_;
  std::map<InstanceId, Counter> counters_;
};

}  // namespace hearth::daemon
