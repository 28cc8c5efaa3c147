#include "daemon/state_json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "daemon/address.h"
#include "daemon/instance_status.h"
#include "daemon/plan_json.h"

namespace hearth::daemon {
namespace {

using Json = nlohmann::ordered_json;
using cluster::ClusterView;
using cluster::DeviceStatus;
using cluster::DeviceView;
using cluster::InstanceView;
using cluster::RunnerStatus;
using cluster::RunnerView;

// Text that reached us from files or peers may not be UTF-8; it must not spoil the answer.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string time_of_day(int64_t unix_ms) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<time_t>(unix_ms / 1000)));
}

Json bytes_json(int64_t bytes) { return {{"inBytes", bytes}}; }

std::string_view to_string(DeviceStatus status) {
  switch (status) {
    case DeviceStatus::kOnline:
      return "online";
    case DeviceStatus::kSuspect:
      return "suspect";
    case DeviceStatus::kOffline:
      return "offline";
  }
  return "offline";
}

std::string runner_id(const InstanceId& instance, int64_t epoch, int rank) {
  return fmt::format("{}-{}-{}", instance.str(), epoch, rank);
}

Json runner_json(const RunnerView& runner) {
  switch (runner.status) {
    case RunnerStatus::kStarting:
      return {{"RunnerStarting", Json::object()}};
    case RunnerStatus::kLoading:
      return {{"RunnerLoading",
               {{"layersLoaded", runner.layers_loaded}, {"totalLayers", runner.layers_total}}}};
    case RunnerStatus::kLoaded:  // waits for the other ranks
    case RunnerStatus::kConnecting:
      return {{"RunnerConnecting", Json::object()}};
    case RunnerStatus::kReady:
      return {{"RunnerReady", {{"carriedBy", runner.carriers}}}};
    case RunnerStatus::kFailed:
      return {{"RunnerFailed", {{"errorMessage", runner.error}}}};
  }
  return Json::object();
}

Json assignments_json(const std::string& model, const InstanceId& id, const cluster::Plan& plan) {
  Json node_to_runner = Json::object();
  Json runner_to_shard = Json::object();
  const int world_size = static_cast<int>(plan.ranks.size());
  const int layers = plan.empty() ? 0 : plan.ranks.back().layer_end;
  for (int rank = 0; rank < world_size; ++rank) {
    const cluster::RankPlan& shard = plan.ranks[rank];
    const std::string runner = runner_id(id, plan.epoch, rank);
    node_to_runner[shard.device.str()] = runner;
    Json metadata = {{"deviceRank", rank},
                     {"worldSize", world_size},
                     {"startLayer", shard.layer_begin},
                     {"endLayer", shard.layer_end},
                     {"nLayers", layers},
                     {"memory", bytes_json(shard.memory_bytes)}};
    runner_to_shard[runner] = {
        {plan.slices == 1 ? "PipelineShardMetadata" : "TensorShardMetadata", std::move(metadata)}};
  }
  return {{"modelId", model},
          {"nodeToRunner", std::move(node_to_runner)},
          {"runnerToShard", std::move(runner_to_shard)}};
}

Json instance_object(const InstanceView& instance, std::string_view status,
                     const std::string& message) {
  return {{"instanceId", instance.id.str()},
          {"modelId", instance.model},
          {"status", status},
          {"statusMessage", message},
          {"epoch", instance.plan.epoch},
          {"minNodes", instance.min_devices},
          {"kv", instance.kv},
          {"sharding", instance.sharding},
          {"shardAssignments", assignments_json(instance.model, instance.id, instance.plan)}};
}

Json instance_object(const ClusterView& view, const InstanceView& instance) {
  const InstanceSummary summary = summarize(view, instance);
  Json object = instance_object(instance, to_string(summary.status), summary.message);
  object["plan"] = plan_json(view, instance.plan);
  return object;
}

// Where `source` reaches `sink`: measured for this device, as the sink publishes it for the others.
std::string path_between(const ClusterView& view, const DeviceId& source, const DeviceView& sink) {
  if (source == view.self && !sink.reachable_at.empty()) return sink.reachable_at;
  return sink.facts.addresses.empty() ? "" : sink.facts.addresses.front();
}

Json topology_json(const ClusterView& view) {
  Json nodes = Json::array();
  Json connections = Json::object();
  for (const auto& [source, source_view] : view.devices) {
    if (source_view.status == DeviceStatus::kOffline) continue;
    nodes.push_back(source.str());
    Json sinks = Json::object();
    for (const auto& [sink, sink_view] : view.devices) {
      if (sink == source || sink_view.status == DeviceStatus::kOffline) continue;
      const std::string path = path_between(view, source, sink_view);
      if (path.empty()) continue;
      const Address address = split_address(path);
      sinks[sink.str()] = Json::array({{{"sinkMultiaddr",
                                         {{"address", path},
                                          {"address_type", address_type(address.host)},
                                          {"ip_address", address.host},
                                          {"port", address.port}}}}});
    }
    connections[source.str()] = std::move(sinks);
  }
  return {{"nodes", std::move(nodes)}, {"connections", std::move(connections)}};
}

Json identity_json(const cluster::DeviceFacts& facts) {
  return {{"friendlyName", facts.name}, {"modelId", facts.model}, {"chipId", facts.chip},
          {"osVersion", facts.os},      {"cores", facts.cores},   {"version", facts.version}};
}

Json status_json(const DeviceView& device) {
  Json models = Json::array();
  for (const cluster::ModelFacts& model : device.facts.models) models.push_back(model.id);
  Json addresses = device.facts.addresses;
  if (device.facts.addresses.empty() && !device.reachable_at.empty()) {
    addresses = Json::array({device.reachable_at});
  }
  return {{"status", to_string(device.status)},
          {"addresses", std::move(addresses)},
          {"lastSeenMsAgo", device.last_seen_ms_ago},
          {"joinedAt", time_of_day(device.facts.joined_unix_ms)},
          {"models", std::move(models)}};
}

Json preview_json(const ClusterView& view, const cluster::PlacementRequest& request,
                  const std::vector<DeviceView>& devices) {
  Json preview = {{"model_id", request.model.id},     {"sharding", "Pipeline"},
                  {"min_nodes", request.min_devices}, {"instance", nullptr},
                  {"memory_delta_by_node", nullptr},  {"error", nullptr}};
  const auto plan = cluster::place(request, devices);
  if (!plan.ok()) {
    preview["error"] = plan.error().message();
    return preview;
  }
  if (plan->slices > 1) preview["sharding"] = "Tensor";
  const InstanceView instance{.model = request.model.id,
                              .min_devices = request.min_devices,
                              .kv = request.kv,
                              .sharding = request.sharding,
                              .plan = *plan};
  preview["instance"] = instance_object(instance, to_string(InstanceStatus::kPlacing), "");
  preview["instance"]["plan"] = plan_json(view, *plan);
  Json memory = Json::object();
  for (const auto& [id, device] : view.devices) {
    if (device.status == DeviceStatus::kOnline) memory[id.str()] = 0;
  }
  for (const cluster::RankPlan& shard : plan->ranks) {
    memory[shard.device.str()] = memory[shard.device.str()].get<int64_t>() + shard.memory_bytes;
  }
  preview["memory_delta_by_node"] = std::move(memory);
  return preview;
}

}  // namespace

std::string state_json(const ClusterView& view, int64_t now_unix_ms) {
  Json identities = Json::object();
  Json memory = Json::object();
  Json statuses = Json::object();
  Json last_seen = Json::object();
  for (const auto& [id, device] : view.devices) {
    identities[id.str()] = identity_json(device.facts);
    memory[id.str()] = {{"ramTotal", bytes_json(device.facts.memory_total_bytes)},
                        {"ramAvailable", bytes_json(device.facts.memory_available_bytes)}};
    statuses[id.str()] = status_json(device);
    last_seen[id.str()] = time_of_day(now_unix_ms - device.last_seen_ms_ago);
  }
  Json instances = Json::object();
  Json runners = Json::object();
  for (const auto& [id, instance] : view.instances) {
    instances[id.str()] = instance_object(view, instance);
    const InstanceSummary summary = summarize(view, instance);
    for (size_t rank = 0; rank < summary.runners.size(); ++rank) {
      const RunnerView* runner = summary.runners[rank];
      runners[runner_id(id, instance.plan.epoch, static_cast<int>(rank))] =
          runner_json(runner == nullptr ? RunnerView{} : *runner);
    }
  }
  return dump(
      {{"cluster",
        {{"name", view.cluster_name}, {"locked", false}, {"coordinator", view.coordinator.str()}}},
       {"self", view.self.str()},
       {"topology", topology_json(view)},
       {"nodeIdentities", std::move(identities)},
       {"nodeMemory", std::move(memory)},
       {"nodeStatus", std::move(statuses)},
       {"lastSeen", std::move(last_seen)},
       {"nodeSpeed", speeds_json(view)},
       {"links", links_json(view)},
       {"instances", std::move(instances)},
       {"runners", std::move(runners)}});
}

std::string instance_json(const ClusterView& view, const InstanceView& instance) {
  return dump(instance_object(view, instance));
}

std::string previews_json(const ClusterView& view, cluster::PlacementRequest request) {
  std::vector<DeviceView> devices;
  int online = 0;
  for (const auto& [id, device] : view.devices) {
    devices.push_back(device);
    if (device.status == DeviceStatus::kOnline) ++online;
  }
  Json previews = Json::array();
  for (int min_devices = 1; min_devices <= online; ++min_devices) {
    request.min_devices = min_devices;
    previews.push_back(preview_json(view, request, devices));
  }
  return dump({{"previews", std::move(previews)}});
}

std::string health_json(const ClusterView& view, const std::string& version) {
  int ready = 0;
  for (const auto& [id, instance] : view.instances) {
    if (summarize(view, instance).status == InstanceStatus::kReady) ++ready;
  }
  return dump({{"status", "ok"},
               {"version", version},
               {"device", view.self.str()},
               {"instances", {{"ready", ready}, {"total", view.instances.size()}}}});
}

Result<cluster::ModelFacts> find_model(const ClusterView& view, const std::string& model) {
  for (const auto& [id, device] : view.devices) {
    if (device.status != DeviceStatus::kOnline) continue;
    for (const cluster::ModelFacts& facts : device.facts.models) {
      if (facts.id == model) return facts;
    }
  }
  return Error(
      Code::kNotFound,
      fmt::format("no online device holds '{}'; GET /v1/models lists what there is", model));
}

}  // namespace hearth::daemon
