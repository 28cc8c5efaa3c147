// What this device is made of, read from /proc, /etc and /sys. Sources: proc(5), os-release(5),
// https://docs.kernel.org/admin-guide/cgroup-v2.html.
#pragma once

#include <cstdint>
#include <string>

#include "cluster/view.h"

namespace hearth::daemon {

struct Memory {
  int64_t total_bytes = 0;
  int64_t available_bytes = 0;
};

// The machine's memory, or that of the control group (a container, a service) this process is
// limited to, if that is less. `root` stands before "/proc" and "/sys", for tests.
Memory read_memory(const std::string& root = "");

// Whether memory changed enough to tell the cluster: by more than 2 % of the total.
bool differs(const Memory& before, const Memory& now);

// Chip, operating system, cores, memory. What cannot be read is "unknown" or 0, never an error.
// id, name, version, addresses and models are left to the caller.
cluster::DeviceFacts read_device_facts(const std::string& root = "");

// The host's name without its domain: what people call the machine.
std::string host_name();

}  // namespace hearth::daemon
