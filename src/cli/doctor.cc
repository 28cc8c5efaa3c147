// hearth doctor: how this device reaches the others, and what stands in the way.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/link_text.h"
#include "cli/state_command.h"
#include "cli/table.h"
#include "fabric/interface.h"
#include "fabric/ucx_version.h"

namespace hearth::cli {
namespace {

const StateDevice& self_of(const ClusterState& state) { return state.devices.front(); }

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// What to do about a path that is none.
std::string advice(const std::string& error) {
  if (has(error, "refused")) {
    return "a firewall refuses connections: open TCP from the other devices, all ports";
  }
  if (has(error, "No route") || has(error, "unreachable")) {
    return "the address is of a network that this device is not on";
  }
  if (has(error, "in time")) {
    return "nothing answers: a firewall drops packets, or the address is of another network";
  }
  if (has(error, "another device")) return "the same address is used on several networks";
  if (has(error, "where to measure")) return "update Hearth on that device";
  return "look at that device's log";
}

std::string trouble_with(const StateDevice& device) {
  return fmt::format(
      "{} is {}: is hearth running there, is it on this network, and does its firewall let TCP "
      "port {} in?",
      device.name, device.status, device.address.substr(device.address.rfind(':') + 1));
}

// Devices that are gone or have no path, and, beside one that is good, paths that are none.
std::vector<std::string> troubles(const ClusterState& state) {
  std::vector<std::string> lines;
  for (const StateDevice& device : state.devices) {
    if (device.self) continue;
    if (device.status != "online") {
      lines.push_back(trouble_with(device));
      continue;
    }
    bool tried = false;
    for (const StateLink& link : state.links) {
      if (link.from != self_of(state).id || link.to != device.id) continue;
      tried = true;
      if (link.error.empty()) continue;
      lines.push_back(
          fmt::format("{} at {}: {}; {}", device.name, link.host, link.error, advice(link.error)));
    }
    if (!tried) lines.push_back(fmt::format("{} is not measured yet; ask again soon", device.name));
  }
  return lines;
}

void print_transports() {
  const auto ucx = fabric::ucx_version();
  if (ucx.ok()) {
    std::printf("UCX   %s: ranks talk over RDMA, shared memory or TCP\n", ucx->c_str());
  } else {
    std::printf("UCX   not usable (%s): ranks talk over plain TCP. Debian: apt install libucx0\n",
                ucx.error().message().c_str());
  }
  const std::string ports = fabric::all_rdma_ports();
  if (!ports.empty()) {
    std::printf("RDMA  %s\n", ports.c_str());
  } else {
    std::printf(
        "RDMA  none found. With an adapter that can (RoCE, InfiniBand): load its module (mlx5_ib, "
        "irdma, ...)\n      and install rdma-core; docs/operations.md has the steps\n");
  }
}

void print_table(const ClusterState& state) {
  std::printf("%s\n", self_of(state).name.c_str());
  print_transports();
  std::vector<std::vector<std::string>> rows = {{"", "DEVICE", "ADDRESS", "INTERFACE", "KIND",
                                                 "LATENCY", "BANDWIDTH", "WOULD BE CARRIED BY"}};
  for (const StateLink& link : state.links) {
    if (link.from != self_of(state).id || !link.error.empty()) continue;
    rows.push_back({link.chosen ? "*" : "", name_of(state, link.to), link.host, link.interface,
                    link.kind, latency_text(link.latency_us), bandwidth_text(link.bits_per_second),
                    link.carried_by});
  }
  if (rows.size() > 1) {
    std::printf(
        "\nLinks from this device; ranks of instances take those with a star, and\n"
        "hearth ps says what carries the ones that run.\n%s",
        table(rows).c_str());
  } else {
    std::printf("\nNo links to other devices.\n");
  }
  const std::vector<std::string> lines = troubles(state);
  if (!lines.empty()) std::printf("\n");
  for (const std::string& line : lines) std::printf("! %s\n", line.c_str());
}

void print_json(const ClusterState& state) {
  nlohmann::ordered_json links = nlohmann::ordered_json::array();
  for (const StateLink& link : state.links) {
    if (link.from != self_of(state).id) continue;
    links.push_back({{"device", link.to},
                     {"name", name_of(state, link.to)},
                     {"address", link.host},
                     {"interface", link.interface},
                     {"kind", link.kind},
                     {"latency_us", link.latency_us},
                     {"bits_per_second", link.bits_per_second},
                     {"carried_by", link.carried_by},
                     {"error", link.error},
                     {"chosen", link.chosen}});
  }
  const auto ucx = fabric::ucx_version();
  const nlohmann::ordered_json out = {{"device", self_of(state).id},
                                      {"ucx", ucx.ok() ? *ucx : ""},
                                      {"rdma_ports", fabric::all_rdma_ports()},
                                      {"links", std::move(links)},
                                      {"troubles", troubles(state)}};
  std::printf("%s\n", out.dump(2).c_str());
}

}  // namespace

Action declare_doctor(CLI::App& app) {
  return declare_state_command(
      app,
      "Asks the device that runs on this machine. Each device measures its links to the others:\n"
      "latency every 30 s, bandwidth every 5 min, over every address that they publish.\n\n"
      "Examples:\n"
      "  hearth doctor              links, transports and what stands in the way\n"
      "  hearth doctor --json       the same for programs",
      print_table, print_json);
}

}  // namespace hearth::cli
