#include "daemon/device_facts.h"

#include <hwloc.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

namespace hearth::daemon {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank(" \t\n\r\"\0", 6);
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// The value of the first line "key<separator>value"; empty if there is none.
std::string value_of(const std::string& text, std::string_view key, char separator) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find(separator);
    if (at == std::string::npos || trimmed(std::string_view(line).substr(0, at)) != key) continue;
    return std::string(trimmed(std::string_view(line).substr(at + 1)));
  }
  return {};
}

std::optional<int64_t> number(std::string_view text) {
  text = trimmed(text);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

int64_t meminfo_bytes(const std::string& meminfo, std::string_view key) {
  return number(value_of(meminfo, key, ':')).value_or(0) * 1024;
}

// Narrows `memory` to the limit of one control group, if it has one.
void apply_limit(const std::string& group, Memory* memory) {
  const std::optional<int64_t> limit = number(read_text(group + "/memory.max"));  // or "max"
  if (!limit.has_value()) return;
  const int64_t used = number(read_text(group + "/memory.current")).value_or(0);
  // Page cache of files counts as used but is given back on demand.
  const int64_t cache =
      number(value_of(read_text(group + "/memory.stat"), "inactive_file", ' ')).value_or(0);
  memory->total_bytes = std::min(memory->total_bytes, *limit);
  memory->available_bytes = std::clamp<int64_t>(*limit - used + cache, 0, memory->available_bytes);
}

std::string chip_name(const std::string& root) {
  const std::string cpuinfo = read_text(root + "/proc/cpuinfo");
  if (std::string name = value_of(cpuinfo, "model name", ':'); !name.empty()) return name;
  // ARM boards name themselves in the device tree: "Raspberry Pi 5 Model B Rev 1.0".
  const std::string board = read_text(root + "/proc/device-tree/model");
  return board.empty() ? "unknown" : std::string(trimmed(board));
}

int physical_cores() {
  hwloc_topology_t topology;
  int cores = 0;
  if (hwloc_topology_init(&topology) == 0) {
    if (hwloc_topology_load(topology) == 0) {
      cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    }
    hwloc_topology_destroy(topology);
  }
  return cores > 0 ? cores : static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

Memory read_memory(const std::string& root) {
  const std::string meminfo = read_text(root + "/proc/meminfo");
  Memory memory{.total_bytes = meminfo_bytes(meminfo, "MemTotal"),
                .available_bytes = meminfo_bytes(meminfo, "MemAvailable")};
  const std::string own_group = value_of(read_text(root + "/proc/self/cgroup"), "0", ':');
  // "0::/user.slice/hearth.service": the limits of every ancestor hold too.
  std::filesystem::path group(own_group.starts_with(':') ? own_group.substr(1) : "/");
  const std::string mount = root + "/sys/fs/cgroup";
  while (true) {
    apply_limit(mount + group.string(), &memory);
    if (!group.has_relative_path()) return memory;
    group = group.parent_path();
  }
}

bool differs(const Memory& before, const Memory& now) {
  const int64_t change = std::max(std::abs(before.available_bytes - now.available_bytes),
                                  std::abs(before.total_bytes - now.total_bytes));
  return change * 50 > std::max(before.total_bytes, now.total_bytes);
}

cluster::DeviceFacts read_device_facts(const std::string& root) {
  cluster::DeviceFacts facts;
  utsname system{};
  uname(&system);
  facts.model = std::string(system.sysname) + " " + system.machine;
  facts.chip = chip_name(root);
  facts.os = value_of(read_text(root + "/etc/os-release"), "PRETTY_NAME", '=');
  if (facts.os.empty()) facts.os = std::string(system.sysname) + " " + system.release;
  facts.cores = physical_cores();
  const Memory memory = read_memory(root);
  facts.memory_total_bytes = memory.total_bytes;
  facts.memory_available_bytes = memory.available_bytes;
  return facts;
}

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "device";
  const std::string whole(name);
  return whole.substr(0, whole.find('.'));
}

}  // namespace hearth::daemon
