// Tells the cluster when this device's memory, models, speed or links changed.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cluster/view.h"
#include "daemon/link_monitor.h"

namespace hearth::cluster {
class Cluster;
}

namespace hearth::daemon {

class ModelCatalog;

// Looks every 5 s, and whenever a link changed, on its own thread, from construction to
// destruction.
class FactsPublisher {
 public:
  // Both must outlive it.
  FactsPublisher(cluster::Cluster* cluster, ModelCatalog* catalog);
  ~FactsPublisher();

 private:
  void wake();
  void loop();
  void look();
  // The machine's speed, of which programs that start at the same time take a part: the best of
  // three looks counts.
  void measure_rates(cluster::DeviceFacts* facts);

  cluster::Cluster* const cluster_;
  ModelCatalog* const catalog_;
  cluster::DeviceFacts published_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool woken_ = true;
  int rate_rounds_ = 0;  // of thread_ alone, as published_
  std::thread thread_;
  LinkMonitor links_;  // calls wake(), so it goes first
};

}  // namespace hearth::daemon
