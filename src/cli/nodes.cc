// hearth nodes: the devices of the cluster.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/state_command.h"
#include "cli/table.h"

namespace hearth::cli {
namespace {

void print_json(const ClusterState& state) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const StateDevice& device : state.devices) {
    out.push_back({{"id", device.id},
                   {"name", device.name},
                   {"status", device.status},
                   {"self", device.self},
                   {"chip", device.chip},
                   {"address", device.address},
                   {"memory_total_bytes", device.memory_total_bytes},
                   {"memory_available_bytes", device.memory_available_bytes}});
  }
  std::printf("%s\n", out.dump(2).c_str());
}

void print_table(const ClusterState& state) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "ID", "STATUS", "MEMORY FREE", "CHIP", "ADDRESS"}};
  for (const StateDevice& device : state.devices) {
    const std::string memory = fmt::format("{} of {}", format_bytes(device.memory_available_bytes),
                                           format_bytes(device.memory_total_bytes));
    rows.push_back({device.name + (device.self ? " (this device)" : ""), device.id.substr(0, 8),
                    device.status, memory, device.chip, device.address});
  }
  std::printf("%s", table(rows).c_str());
}

}  // namespace

Action declare_nodes(CLI::App& app) {
  return declare_state_command(app, "Example:\n  hearth nodes", print_table, print_json);
}

}  // namespace hearth::cli
