#include "engine/tensor/cores.h"

#include <hwloc.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>

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
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0) return {{0}};
  hwloc_topology_set_flags(
      topology, HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING | HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
  if (hwloc_topology_load(topology) == 0) {
    for (hwloc_obj_t object = nullptr;
         (object = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, object)) != nullptr;) {
      Core core;
      int processor = -1;
      while ((processor = hwloc_bitmap_next(object->cpuset, processor)) != -1) {
        core.push_back(processor);
      }
      cores.push_back(std::move(core));
    }
  }
  hwloc_topology_destroy(topology);
  if (cores.empty()) cores.push_back({0});
  return cores;
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
