// Keeps this device's runners as the cluster's plans want them. Start here for how instances come
// to run: cluster view -> reconcile.h -> hosted_runner.h, one per rank.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/hosted_runner.h"

namespace hearth::cluster {
class Cluster;
}

namespace hearth::daemon {

// Works on its own thread from construction to destruction, which ends every runner. Thread-safe.
class RunnerHost {
 public:
  // `cluster` must outlive it.
  RunnerHost(cluster::Cluster* cluster, const RunnerSettings& settings);
  ~RunnerHost();

  // The generator of `instance` if its ready head is here, else nullptr.
  std::shared_ptr<runtime::Generator> generator(const InstanceId& instance) const;

 private:
  void wake();
  void loop();
  void act(const Actions& actions);
  void reap();
  void publish();
  std::vector<LocalRunner> local() const;
  HostedRunner* find(const InstanceId& instance, int64_t epoch, int rank);

  cluster::Cluster* const cluster_;
  const RunnerSettings settings_;

  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool woken_ = true;
  bool stopping_ = false;

  mutable std::mutex runners_mutex_;
  std::vector<std::unique_ptr<HostedRunner>> runners_;

  std::vector<cluster::RunnerView> published_;  // of thread_ alone

  std::shared_ptr<void> watch_;
  std::thread thread_;
};

}  // namespace hearth::daemon
