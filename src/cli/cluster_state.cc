#include "cli/cluster_state.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/local_api.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

StateDevice device_of(const json& state, const std::string& id) {
  const json& identity = state.at("nodeIdentities").at(id);
  const json& memory = state.at("nodeMemory").at(id);
  const json& status = state.at("nodeStatus").at(id);
  const json& addresses = status.at("addresses");
  return {.id = id,
          .name = identity.at("friendlyName"),
          .status = status.at("status"),
          .chip = identity.at("chipId"),
          .address = addresses.empty() ? "" : addresses.front().get<std::string>(),
          .memory_total_bytes = memory.at("ramTotal").at("inBytes"),
          .memory_available_bytes = memory.at("ramAvailable").at("inBytes"),
          .self = state.at("self") == id};
}

std::string carried_by(const json& runners, const std::string& id) {
  if (!runners.contains(id) || !runners.at(id).contains("RunnerReady")) return "";
  return runners.at(id).at("RunnerReady").at("carriedBy");
}

StateInstance instance_of(const json& state, const json& item) {
  StateInstance instance{.id = item.at("instanceId"),
                         .model = item.at("modelId"),
                         .status = item.at("status"),
                         .message = item.at("statusMessage")};
  const json& assignments = item.at("shardAssignments");
  std::map<int, StateShard> by_rank;
  const json& runners = state.at("runners");
  for (const auto& [device, runner] : assignments.at("nodeToRunner").items()) {
    const json& shards = assignments.at("runnerToShard").at(runner.get<std::string>());
    const bool tensor = shards.contains("TensorShardMetadata");
    const json& shard = shards.at(tensor ? "TensorShardMetadata" : "PipelineShardMetadata");
    const json& identities = state.at("nodeIdentities");
    by_rank[shard.at("deviceRank")] = {
        .device_id = device,
        .device_name = identities.contains(device)
                           ? identities.at(device).at("friendlyName").get<std::string>()
                           : device.substr(0, 8),
        .layer_begin = shard.at("startLayer"),
        .layer_end = shard.at("endLayer"),
        .carried_by = carried_by(runners, runner)};
  }
  for (auto& [rank, shard] : by_rank) instance.shards.push_back(std::move(shard));
  return instance;
}

std::string text_or_empty(const json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

StateLink link_of(const std::string& from, const json& item) {
  const json& latency = item.at("latencyUs");
  return {.from = from,
          .to = item.at("to"),
          .host = item.at("host"),
          .interface = item.at("interface"),
          .kind = item.at("kind"),
          .latency_us = latency.is_number() ? latency.get<double>() : 0,
          .bits_per_second = item.at("bitsPerSecond"),
          .carried_by = text_or_empty(item.at("carriedBy")),
          .error = text_or_empty(item.at("error")),
          .chosen = item.at("chosen")};
}

}  // namespace

std::string name_of(const ClusterState& state, const std::string& id) {
  const auto device = std::ranges::find(state.devices, id, &StateDevice::id);
  return device == state.devices.end() ? id.substr(0, 8) : device->name;
}

Result<ClusterState> parse_state(const std::string& text) {
  ClusterState parsed;
  try {
    const json state = json::parse(text);
    for (const auto& [id, status] : state.at("nodeStatus").items()) {
      parsed.devices.push_back(device_of(state, id));
    }
    for (const auto& [from, links] : state.at("links").items()) {
      for (const json& link : links) parsed.links.push_back(link_of(from, link));
    }
    for (const auto& [id, instance] : state.at("instances").items()) {
      parsed.instances.push_back(instance_of(state, instance));
    }
  } catch (const json::exception& error) {
    return Error(Code::kCorrupt,
                 std::string("the device's answer is not understood: ") + error.what());
  }
  std::ranges::sort(parsed.devices, [](const StateDevice& a, const StateDevice& b) {
    return std::tie(b.self, a.name, a.id) < std::tie(a.self, b.name, b.id);
  });
  std::ranges::sort(parsed.instances, {}, &StateInstance::model);
  return parsed;
}

Result<ClusterState> read_state(int port) {
  HEARTH_TRY(const std::string text, get_from_daemon(port, "/state"));
  return parse_state(text);
}

}  // namespace hearth::cli
