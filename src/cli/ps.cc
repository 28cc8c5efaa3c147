// hearth ps: the instances of the cluster.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/state_command.h"
#include "cli/table.h"

namespace hearth::cli {
namespace {

std::string layers(const StateShard& shard) {
  return fmt::format("{}-{}", shard.layer_begin, shard.layer_end - 1);
}

// Of all its ranks, each once.
std::string carriers(const StateInstance& instance) {
  std::set<std::string> distinct;
  for (const StateShard& shard : instance.shards) distinct.insert(shard.carried_by);
  distinct.erase("");
  distinct.erase("none");
  return distinct.empty() ? "-" : fmt::format("{}", fmt::join(distinct, "; "));
}

void print_json(const ClusterState& state) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const StateInstance& instance : state.instances) {
    nlohmann::ordered_json devices = nlohmann::ordered_json::array();
    for (const StateShard& shard : instance.shards) {
      devices.push_back({{"id", shard.device_id},
                         {"name", shard.device_name},
                         {"layer_begin", shard.layer_begin},
                         {"layer_end", shard.layer_end},
                         {"carried_by", shard.carried_by}});
    }
    out.push_back({{"id", instance.id},
                   {"model", instance.model},
                   {"status", instance.status},
                   {"message", instance.message},
                   {"devices", std::move(devices)}});
  }
  std::printf("%s\n", out.dump(2).c_str());
}

void print_table(const ClusterState& state) {
  if (state.instances.empty()) {
    std::printf("No instances. Place one on the dashboard, or with hearth serve --model MODEL.\n");
    return;
  }
  std::vector<std::vector<std::string>> rows = {
      {"MODEL", "STATUS", "DEVICES (LAYERS)", "CARRIED BY", "ID"}};
  for (const StateInstance& instance : state.instances) {
    std::string devices;
    for (const StateShard& shard : instance.shards) {
      devices +=
          fmt::format("{}{} ({})", devices.empty() ? "" : ", ", shard.device_name, layers(shard));
    }
    if (devices.empty()) devices = "-";
    rows.push_back({instance.model, instance.status, devices, carriers(instance), instance.id});
  }
  std::printf("%s", table(rows).c_str());
  for (const StateInstance& instance : state.instances) {
    if (instance.message.empty()) continue;
    std::printf("%s: %s\n", instance.model.c_str(), instance.message.c_str());
  }
}

}  // namespace

Action declare_ps(CLI::App& app) {
  return declare_state_command(app, "Example:\n  hearth ps", print_table, print_json);
}

}  // namespace hearth::cli
