#include "daemon/first_instances.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "cluster/cluster.h"

namespace hearth::daemon {
namespace {

constexpr std::chrono::seconds kDiscoveryTime(2);
constexpr const char* kFirstModel = "ember";

}  // namespace

std::vector<std::string> instances_to_place(const cluster::ClusterView& view,
                                            const std::vector<std::string>& wanted,
                                            bool first_start) {
  std::vector<std::string> models;
  for (const std::string& model : wanted) {
    const bool there = std::ranges::any_of(
        view.instances, [&model](const auto& item) { return item.second.model == model; });
    if (!there && std::ranges::find(models, model) == models.end()) models.push_back(model);
  }
  const bool held =
      std::ranges::any_of(view.devices.at(view.self).facts.models,
                          [](const cluster::ModelFacts& model) { return model.id == kFirstModel; });
  if (first_start && wanted.empty() && held && view.instances.empty() &&
      view.coordinator == view.self) {
    models.emplace_back(kFirstModel);
  }
  return models;
}

FirstInstances::FirstInstances(cluster::Cluster* cluster, std::string data_dir,
                               std::vector<std::string> wanted, std::string kv)
    : cluster_(cluster),
      marker_(data_dir + "/started"),
      wanted_(std::move(wanted)),
      kv_(std::move(kv)) {
  thread_ = std::thread([this] {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kDiscoveryTime, [this] { return stopping_; })) return;
    }
    decide();
  });
}

FirstInstances::~FirstInstances() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void FirstInstances::decide() {
  std::error_code ignored;
  const bool first_start = !std::filesystem::exists(marker_, ignored);
  for (const std::string& model : instances_to_place(cluster_->view(), wanted_, first_start)) {
    const auto placed = cluster_->create_instance({.model = model, .kv = kv_});
    if (!placed.ok()) log::error("cannot place {}: {}", model, placed.error().message());
  }
  if (first_start) std::ofstream(marker_).flush();
}

}  // namespace hearth::daemon
