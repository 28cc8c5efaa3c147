// The network interfaces of this machine, as far as a link has to know them.
#pragma once

#include <string>
#include <string_view>

namespace hearth::fabric {

struct Interface {
  std::string name;  // "eth0"; empty when this machine has no such address
  // "loopback", "ethernet", "wifi", "thunderbolt", "rdma" (Ethernet or InfiniBand with RDMA),
  // "infiniband" (without it), "tunnel", "virtual" (bridges and cables between containers), or
  // "other". Only as good as what the system says: a virtual machine's wifi is "ethernet".
  std::string kind = "other";
  std::string rdma_ports;  // of the interface: "mlx5_0:1", several with commas; mostly empty
};

// The interface that has the numeric address `host`. `sysfs` is /sys, which other systems than
// Linux lack: then only the loopback interface is told from "other" ones.
Interface interface_with(const std::string& host, const std::string& sysfs = "/sys");

// Whether `host` is an address of this machine, in this network namespace: what goes there never
// leaves it.
bool is_own_host(const std::string& host);

// All RDMA ports of the machine ("mlx5_0:1"), with commas; empty where there are none or the
// kernel's modules for them are not loaded.
std::string all_rdma_ports(const std::string& sysfs = "/sys");

}  // namespace hearth::fabric
