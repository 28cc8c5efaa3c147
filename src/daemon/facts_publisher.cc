#include "daemon/facts_publisher.h"

#include <algorithm>

#include "cluster/cluster.h"
#include "daemon/device_facts.h"
#include "daemon/device_rates.h"
#include "daemon/model_catalog.h"

namespace hearth::daemon {
namespace {

constexpr std::chrono::seconds kInterval(5);
constexpr int kRateRounds = 3;

}  // namespace

FactsPublisher::FactsPublisher(cluster::Cluster* cluster, ModelCatalog* catalog)
    : cluster_(cluster), catalog_(catalog), links_(cluster, [this] { wake(); }) {
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

void FactsPublisher::wake() {
  std::lock_guard lock(mutex_);
  woken_ = true;
  wake_.notify_all();
}

void FactsPublisher::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait_for(lock, kInterval, [this] { return stopping_ || woken_; });
    if (stopping_) return;
    woken_ = false;
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
  now.links = links_.links();
  measure_rates(&now);
  const bool same_speed = now.memory_bytes_per_second == published_.memory_bytes_per_second &&
                          now.multiply_adds_per_second == published_.multiply_adds_per_second;
  if (now.models == published_.models && same_speed && now.links == published_.links &&
      now.memory_available_bytes == published_.memory_available_bytes &&
      now.memory_total_bytes == published_.memory_total_bytes) {
    return;
  }
  cluster_->set_facts(now);
  published_ = std::move(now);
}

void FactsPublisher::measure_rates(cluster::DeviceFacts* facts) {
  if (rate_rounds_ == kRateRounds) return;
  ++rate_rounds_;
  const DeviceRates rates = daemon::measure_rates();
  facts->memory_bytes_per_second =
      std::max(facts->memory_bytes_per_second, rates.memory_bytes_per_second);
  facts->multiply_adds_per_second =
      std::max(facts->multiply_adds_per_second, rates.multiply_adds_per_second);
}

}  // namespace hearth::daemon
