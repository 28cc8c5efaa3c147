// Which network devices UCX may use: those over which the ranks have met. Left to itself it
// believes that any two interfaces of one address family reach each other, and picks a container
// bridge.
#pragma once

#include <set>
#include <span>
#include <string>

namespace hearth::fabric {

// The interface that has the numeric address `host`, empty when none has.
std::string interface_of(const std::string& host);

// The RDMA ports behind an interface: "mlx5_0:1". `sysfs` is /sys.
std::set<std::string> rdma_ports(const std::string& interface, const std::string& sysfs);

// The interface that has the address `host` and the RDMA ports behind it, by the names that UCX has
// for them. Empty when none has the address.
std::set<std::string> net_devices_of(const std::string& host, const std::string& sysfs = "/sys");

// UCX_NET_DEVICES for reaching peers from `local_hosts` (empty entries are skipped): their
// interfaces, and the RDMA ports behind these, "eth0,mlx5_0:1". Empty when nothing is known.
// `sysfs` is /sys.
std::string net_devices(std::span<const std::string> local_hosts,
                        const std::string& sysfs = "/sys");

}  // namespace hearth::fabric
