#include "engine/tensor/cores.h"

#include <hwloc.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::engine {
namespace {

// Of the process' control group, or as many as there are if it has none. Source:
// https://docs.kernel.org/admin-guide/cgroup-v2.html, "cpu.max": quota and period in microseconds.
int quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || period <= 0) return std::numeric_limits<int>::max();
  return std::max(1, static_cast<int>(std::lround(quota / period)));
}

// What this process may use of the machine; empty if the system does not tell.
class Topology {
 public:
  Topology() {
    if (hwloc_topology_init(&topology_) != 0) return;
    hwloc_topology_set_flags(
        topology_, HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING | HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    loaded_ = hwloc_topology_load(topology_) == 0;
  }
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;
  ~Topology() {
    if (topology_ != nullptr) hwloc_topology_destroy(topology_);
  }

  template <class Visit>
  void for_each(hwloc_obj_type_t type, Visit visit) const {
    if (!loaded_) return;
    for (hwloc_obj_t object = nullptr;
         (object = hwloc_get_next_obj_by_type(topology_, type, object)) != nullptr;) {
      visit(object);
    }
  }

 private:
  hwloc_topology_t topology_ = nullptr;
  bool loaded_ = false;
};

#if defined(__linux__)
cpu_set_t set_of(const Core& core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : core) {
    if (processor < CPU_SETSIZE) CPU_SET(processor, &set);
  }
  return set;
}
#endif

}  // namespace

std::vector<Core> usable_cores() {
  std::vector<Core> cores;
  const Topology topology;
  topology.for_each(HWLOC_OBJ_CORE, [&](hwloc_obj_t object) {
    Core core;
    int processor = -1;
    while ((processor = hwloc_bitmap_next(object->cpuset, processor)) != -1) {
      core.push_back(processor);
    }
    cores.push_back(std::move(core));
  });
  if (cores.empty()) cores.push_back({0});
  return cores;
}

Processor processor() {
  Processor found;
  const Topology topology;
  const auto add_name = [&](hwloc_obj_t object) {
    for (unsigned i = 0; i < object->infos_count; ++i) {
      if (!std::string_view(object->infos[i].name).starts_with("CPU")) continue;
      found.name += (found.name.empty() ? "" : " ") + std::string(object->infos[i].value);
    }
  };
  // Where there are no packages, it is the machine that says it.
  topology.for_each(HWLOC_OBJ_PACKAGE, [&](hwloc_obj_t package) {
    if (found.name.empty()) add_name(package);
  });
  if (found.name.empty()) topology.for_each(HWLOC_OBJ_MACHINE, add_name);
  for (const hwloc_obj_type_t level : {HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L2CACHE}) {
    if (found.cache_bytes > 0) break;
    topology.for_each(level, [&](hwloc_obj_t cache) {
      found.cache_bytes += static_cast<int64_t>(cache->attr->cache.size);
    });
  }
  return found;
}

int physical_cores() { return std::min(static_cast<int>(usable_cores().size()), quota_cores()); }

#if defined(__linux__)

bool pin_to(const Core& core) {
  const cpu_set_t set = set_of(core);
  return ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set) == 0;
}

void move_to(const Core& core) {
  if (std::find(core.begin(), core.end(), ::sched_getcpu()) != core.end()) return;
  cpu_set_t own;
  if (::pthread_getaffinity_np(::pthread_self(), sizeof(own), &own) != 0 || !pin_to(core)) return;
  ::pthread_setaffinity_np(::pthread_self(), sizeof(own), &own);
}

#else  // macOS gives no say in where a thread runs

bool pin_to(const Core&) { return false; }
void move_to(const Core&) {}

#endif

}  // namespace hearth::engine
