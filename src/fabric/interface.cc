#include "fabric/interface.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include "fabric/common/devices.h"

namespace hearth::fabric {
namespace {

namespace fs = std::filesystem;

// Linux: include/uapi/linux/if_arp.h.
constexpr int kArpEther = 1;
constexpr int kArpInfiniband = 32;
constexpr int kArpLoopback = 772;

int arp_type(const fs::path& folder) {
  int type = -1;
  std::ifstream(folder / "type") >> type;
  return type;
}

// "thunderbolt-net", "e1000e", ...; empty for interfaces without hardware.
std::string driver_of(const fs::path& folder) {
  std::error_code error;
  const fs::path driver = fs::read_symlink(folder / "device/driver", error);
  return error ? "" : driver.filename().string();
}

bool present(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// Linux: Documentation/ABI/testing/sysfs-class-net.
std::string kind_of(const Interface& interface, const fs::path& folder) {
  const int type = arp_type(folder);
  if (type == kArpLoopback || interface.name == "lo0") return "loopback";
  if (!interface.rdma_ports.empty()) return "rdma";
  if (present(folder / "phy80211") || present(folder / "wireless")) return "wifi";
  if (driver_of(folder).starts_with("thunderbolt")) return "thunderbolt";
  if (present(folder / "tun_flags")) return "tunnel";
  if (type == kArpInfiniband) return "infiniband";
  if (type != kArpEther) return "other";
  return present(folder / "device") ? "ethernet" : "virtual";
}

}  // namespace

Interface interface_with(const std::string& host, const std::string& sysfs) {
  Interface interface { .name = interface_of(host) };
  if (interface.name.empty()) return interface;
  interface.rdma_ports = fmt::format("{}", fmt::join(rdma_ports(interface.name, sysfs), ","));
  interface.kind = kind_of(interface, fs::path(sysfs) / "class/net" / interface.name);
  return interface;
}

bool is_own_host(const std::string& host) {
  return host.starts_with("127.") || !interface_of(host).empty();
}

std::string all_rdma_ports(const std::string& sysfs) {
  std::set<std::string> ports;
  std::error_code error;
  for (fs::directory_iterator device(fs::path(sysfs) / "class/infiniband", error), end;
       !error && device != end; device.increment(error)) {
    std::error_code unreadable;
    for (fs::directory_iterator port(device->path() / "ports", unreadable);
         !unreadable && port != end; port.increment(unreadable)) {
      ports.insert(fmt::format("{}:{}", device->path().filename().string(),
                               port->path().filename().string()));
    }
  }
  return fmt::format("{}", fmt::join(ports, ","));
}

}  // namespace hearth::fabric
