// Tells the cluster when this device's memory or models changed.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cluster/view.h"

namespace hearth::cluster {
class Cluster;
}

namespace hearth::daemon {

class ModelCatalog;

// Looks every 5 s, on its own thread, from construction to destruction.
class FactsPublisher {
 public:
  // Both must outlive it.
  FactsPublisher(cluster::Cluster* cluster, ModelCatalog* catalog);
  ~FactsPublisher();

 private:
  void loop();
  void look();

  cluster::Cluster* const cluster_;
  ModelCatalog* const catalog_;
  cluster::DeviceFacts published_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::daemon
