// A device as a process of its own, for tests that stop or kill one, or put it into another
// network.
//   hearth_cluster_node DIRECTORY NAME LISTEN [PEER...]
// Writes one line whenever what it sees changes, "a=online b=offline ... coordinator=a", sorted by
// name, and ends with its standard input. Without peers, it looks for others by mDNS.
#include <atomic>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>

#include "base/units.h"
#include "cluster/cluster.h"

namespace hearth::cluster {
namespace {

std::string describe(const ClusterView& view) {
  std::map<std::string, std::string> states;
  for (const auto& [id, device] : view.devices) {
    states[device.facts.name] = device.status == DeviceStatus::kOnline    ? "online"
                                : device.status == DeviceStatus::kSuspect ? "suspect"
                                                                          : "offline";
  }
  std::string line;
  for (const auto& [name, state] : states) line += name + "=" + state + " ";
  return line + "coordinator=" + view.devices.at(view.coordinator).facts.name;
}

int run(int argc, char** argv) {
  if (argc < 4) return 2;
  auto identity = Identity::load_or_create(argv[1]);
  if (!identity) return 1;
  ClusterOptions options{.identity = *identity,
                         .listen = argv[3],
                         .port = 0,
                         .peers = std::vector<std::string>(argv + 4, argv + argc),
                         .discovery = argc == 4,
                         .state_path = std::string(argv[1]) + "/state.db"};
  options.facts.name = argv[2];
  options.facts.memory_total_bytes = options.facts.memory_available_bytes = 1_GiB;
  auto cluster = Cluster::start(std::move(options));
  if (!cluster) {
    std::fprintf(stderr, "%s\n", cluster.error().message().c_str());
    return 1;
  }
  std::fprintf(stdout, "port=%d\n", (*cluster)->port());
  std::atomic<bool> ended = false;
  std::thread reader([&ended] {
    while (std::cin.get() != EOF) {
    }
    ended = true;
  });
  std::string last;
  while (!ended) {
    if (const std::string line = describe((*cluster)->view()); line != last) {
      std::fprintf(stdout, "%s\n", line.c_str());
      std::fflush(stdout);
      last = line;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  reader.join();
  return 0;
}

}  // namespace
}  // namespace hearth::cluster

int main(int argc, char** argv) { return hearth::cluster::run(argc, argv); }
