#include "fabric/common/devices.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

namespace hearth::fabric {
namespace {

std::string numeric(const sockaddr* address) {
  if (address == nullptr) return {};
  const int family = address->sa_family;
  if (family != AF_INET && family != AF_INET6) return {};
  const socklen_t bytes = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  char host[NI_MAXHOST];
  const int error = ::getnameinfo(address, bytes, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  return error == 0 ? host : "";
}

}  // namespace

std::string interface_of(const std::string& host) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  std::string name;
  for (const ifaddrs* at = all; at != nullptr && name.empty(); at = at->ifa_next) {
    if (!host.empty() && numeric(at->ifa_addr) == host) name = at->ifa_name;
  }
  ::freeifaddrs(all);
  return name;
}

// Linux: Documentation/ABI/testing/sysfs-class-net, dev_port counts the ports of a device from 0,
// RDMA from 1.
std::set<std::string> rdma_ports(const std::string& interface, const std::string& sysfs) {
  const std::filesystem::path folder = std::filesystem::path(sysfs) / "class/net" / interface;
  int port = 0;
  std::ifstream(folder / "dev_port") >> port;
  std::set<std::string> ports;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder / "device/infiniband", error), end;
       !error && at != end; at.increment(error)) {
    ports.insert(fmt::format("{}:{}", at->path().filename().string(), port + 1));
  }
  return ports;
}

std::set<std::string> net_devices_of(const std::string& host, const std::string& sysfs) {
  const std::string interface = interface_of(host);
  if (interface.empty()) return {};
  std::set<std::string> devices = rdma_ports(interface, sysfs);
  devices.insert(interface);
  return devices;
}

std::string net_devices(std::span<const std::string> local_hosts, const std::string& sysfs) {
  std::set<std::string> devices;
  for (const std::string& host : local_hosts) {
    devices.merge(net_devices_of(host, sysfs));
  }
  return fmt::format("{}", fmt::join(devices, ","));
}

}  // namespace hearth::fabric
