#include "daemon/facts_publisher.h"

#include <algorithm>

#include "cluster/cluster.h"
#include "daemon/device_facts.h"
#include "daemon/model_catalog.h"

namespace hearth::daemon {
namespace {

constexpr std::chrono::seconds kInterval(5);

}  // namespace

FactsPublisher::FactsPublisher(cluster::Cluster* cluster, ModelCatalog* catalog)
    : cluster_(cluster), catalog_(catalog) {
  const cluster::ClusterView view = cluster_->view();
  published_ = view.devices.at(view.self).facts;
  thread_ = std::thread([this] { loop(); });
}

FactsPublisher::~FactsPublisher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void FactsPublisher::loop() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kInterval, [this] { return stopping_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void FactsPublisher::look() {
  catalog_->refresh();
  cluster::DeviceFacts now = published_;
  const Memory memory = read_memory();
  const Memory told{.total_bytes = published_.memory_total_bytes,
                    .available_bytes = published_.memory_available_bytes};
  if (differs(told, memory)) {
    now.memory_total_bytes = memory.total_bytes;
    now.memory_available_bytes = memory.available_bytes;
  }
  now.models = catalog_->models();
  const bool same_models = std::ranges::equal(now.models, published_.models, {},
                                              &cluster::ModelFacts::id, &cluster::ModelFacts::id);
  if (same_models && now.memory_available_bytes == published_.memory_available_bytes &&
      now.memory_total_bytes == published_.memory_total_bytes) {
    return;
  }
  cluster_->set_facts(now);
  published_ = std::move(now);
}

}  // namespace hearth::daemon
