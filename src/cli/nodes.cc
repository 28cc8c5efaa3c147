// hearth nodes: the devices of the cluster.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/cluster_state.h"
#include "cli/command.h"
#include "cli/settings.h"
#include "cli/table.h"

namespace hearth::cli {
namespace {

struct Options {
  int port = 52415;
  bool json = false;
};

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
  const auto options = std::make_shared<Options>();
  app.add_option("--port", options->port, "Port of the device's API on this machine")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print JSON");
  app.footer("Example:\n  hearth nodes");
  return [&app, options]() -> Result<void> {
    HEARTH_RETURN_IF_ERROR(apply_settings(app));
    HEARTH_TRY(const ClusterState state, read_state(options->port));
    options->json ? print_json(state) : print_table(state);
    return {};
  };
}

}  // namespace hearth::cli
