#include "fabric/common/lanes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>

namespace hearth::fabric {
namespace {

// UCX's name of the device behind every kind of shared memory.
constexpr std::string_view kMemoryDevice = "/memory";

// "rc_mlx5/mlx5_0:1" of a line "lane[0]:  2:rc_mlx5/mlx5_0:1.0 md[2] -> md[2]/ib/sysdev[0] am
// am_bw#0", empty when the line is none of a lane that carries messages.
std::string resource_of(const std::string& line) {
  std::istringstream words(line);
  std::string word, resource;
  while (words >> word && !word.starts_with("lane[")) continue;
  // The resource's number may stand apart or not.
  while (resource.empty() && words >> word) {
    const size_t name = word.find(':') + 1;
    if (word.find('/', name) != std::string::npos) resource = word.substr(name);
  }
  bool carries = false;
  while (words >> word) carries |= word.starts_with("am") || word.starts_with("rma_bw");
  return carries ? resource.substr(0, resource.rfind('.')) : "";
}

}  // namespace

std::set<std::string> devices_of(std::string_view context_info) {
  std::set<std::string> devices;
  std::istringstream lines{std::string(context_info)};
  // "resource 1  :  md 1  dev 1  flags -- tcp/lo"
  for (std::string line; std::getline(lines, line);) {
    const size_t slash = line.rfind('/');
    if (line.find("resource ") == std::string::npos || slash == std::string::npos) continue;
    devices.insert(line.substr(slash + 1));
  }
  return devices;
}

std::string carrier_of(std::string_view endpoint_info) {
  std::set<std::string> resources;
  std::istringstream lines{std::string(endpoint_info)};
  for (std::string line; std::getline(lines, line);) resources.insert(resource_of(line));
  resources.erase("");
  if (resources.empty()) return "ucx";
  const bool in_memory = std::ranges::all_of(
      resources, [](const std::string& resource) { return resource.ends_with(kMemoryDevice); });
  if (!in_memory) return fmt::format("ucx: {}", fmt::join(resources, ", "));
  std::set<std::string> kinds;
  for (const std::string& resource : resources) {
    kinds.insert(resource.substr(0, resource.size() - kMemoryDevice.size()));
  }
  return fmt::format("ucx: shared memory ({})", fmt::join(kinds, ", "));
}

}  // namespace hearth::fabric
