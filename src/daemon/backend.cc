#include "daemon/backend.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <map>

#include "base/log.h"
#include "cluster/cluster.h"
#include "cluster/placement.h"
#include "daemon/instance_router.h"
#include "daemon/instance_status.h"
#include "daemon/state_json.h"
#include "engine/kv_type.h"

namespace hearth::daemon {
namespace {

int64_t now_unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

serve::ModelCard card_of(const cluster::ModelFacts& model) {
  return {.id = model.id,
          .name = model.name,
          .description = fmt::format("A {} model", model.architecture),
          .architecture = model.architecture,
          .encoding = model.encoding,
          .storage_bytes = model.file_bytes,
          .context_length = model.context,
          .layers = model.layers};
}

class ClusterBackend final : public serve::Backend {
 public:
  ClusterBackend(cluster::Cluster* cluster, InstanceRouter* router, std::string version,
                 std::string kv)
      : cluster_(cluster), router_(router), version_(std::move(version)), kv_(std::move(kv)) {}

  std::vector<serve::ModelCard> models() override {
    const cluster::ClusterView view = cluster_->view();
    std::map<std::string, serve::ModelCard> cards;
    for (const auto& [id, device] : view.devices) {
      if (device.status != cluster::DeviceStatus::kOnline) continue;
      for (const cluster::ModelFacts& model : device.facts.models) {
        const auto card = cards.try_emplace(model.id, card_of(model)).first;
        card->second.devices.push_back(id.str());
      }
    }
    for (const auto& [id, instance] : view.instances) {
      const auto card = cards.find(instance.model);
      if (card == cards.end()) continue;
      if (summarize(view, instance).status == InstanceStatus::kReady) card->second.running = true;
    }
    std::vector<serve::ModelCard> models;
    for (auto& [id, card] : cards) models.push_back(std::move(card));
    return models;
  }

  Result<std::shared_ptr<runtime::Generator>> generator(const std::string& model) override {
    return router_->find(model);
  }

  std::string device_id() override { return cluster_->view().self.str(); }
  std::string state_json() override { return daemon::state_json(cluster_->view(), now_unix_ms()); }
  std::string health_json() override { return daemon::health_json(cluster_->view(), version_); }

  Result<std::string> instance_json(const std::string& instance_id) override {
    const cluster::ClusterView view = cluster_->view();
    const auto instance = view.instances.find(InstanceId(instance_id));
    if (instance == view.instances.end()) {
      return Error(Code::kNotFound, fmt::format("there is no instance '{}'", instance_id));
    }
    return daemon::instance_json(view, instance->second);
  }

  Result<std::string> previews_json(const serve::PlaceRequest& request) override {
    const cluster::ClusterView view = cluster_->view();
    HEARTH_TRY(const cluster::PlacementRequest placement, placement_of(request, view));
    return daemon::previews_json(view, placement);
  }

  Result<std::string> place_instance(const serve::PlaceRequest& request) override {
    const cluster::ClusterView view = cluster_->view();
    HEARTH_TRY(const cluster::PlacementRequest placement, placement_of(request, view));
    std::vector<cluster::DeviceView> devices;
    for (const auto& [id, device] : view.devices) devices.push_back(device);
    // Desired state that could never be met is refused, although it might be kept and wait.
    const auto plan = cluster::place(placement, devices);
    if (!plan.ok()) return Error(Code::kInvalidArgument, plan.error().message());
    HEARTH_TRY(const InstanceId id, cluster_->create_instance({.model = request.model_id,
                                                               .min_devices = request.min_nodes,
                                                               .kv = placement.kv,
                                                               .sharding = request.sharding}));
    log::info("placing {} on at least {} device(s) as instance {}", request.model_id,
              request.min_nodes, id.brief());
    return id.str();
  }

  Result<void> delete_instance(const std::string& instance_id) override {
    HEARTH_RETURN_IF_ERROR(cluster_->delete_instance(InstanceId(instance_id)));
    log::info("instance {} deleted", InstanceId(instance_id).brief());
    return {};
  }

  std::shared_ptr<void> watch(std::function<void()> changed) override {
    return cluster_->watch(std::move(changed));
  }

 private:
  Result<cluster::PlacementRequest> placement_of(const serve::PlaceRequest& request,
                                                 const cluster::ClusterView& view) const {
    HEARTH_TRY(cluster::ModelFacts model, find_model(view, request.model_id));
    if (!request.kv.empty() && !engine::parse_kv_type(request.kv)) {
      std::vector<std::string_view> words;
      for (const engine::KvType type : engine::kAllKvTypes) words.push_back(to_string(type));
      return Error(Code::kInvalidArgument, fmt::format("'kv' must be one of {}, not '{}'",
                                                       fmt::join(words, ", "), request.kv));
    }
    return cluster::PlacementRequest{.model = std::move(model),
                                     .min_devices = request.min_nodes,
                                     .kv = request.kv.empty() ? kv_ : request.kv,
                                     .sharding = request.sharding};
  }

  cluster::Cluster* const cluster_;
  InstanceRouter* const router_;
  const std::string version_;
  const std::string kv_;
};

}  // namespace

std::unique_ptr<serve::Backend> make_backend(cluster::Cluster* cluster, InstanceRouter* router,
                                             const std::string& version, const std::string& kv) {
  return std::make_unique<ClusterBackend>(cluster, router, version, kv);
}

}  // namespace hearth::daemon
