#include "cluster/peers/own_addresses.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>

#include "base/host_port.h"

namespace hearth::cluster {
namespace {

// Empty for what is neither IPv4 nor routable IPv6.
std::string host_text(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN];
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  }
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) return "";
    return fmt::format("[{}]", inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text));
  }
  return "";
}

}  // namespace

bool is_loopback_host(const std::string& listen) {
  return listen.starts_with("127.") || listen == "::1" || listen == "localhost";
}

std::vector<std::string> own_addresses(const std::string& listen, int port) {
  if (listen != "0.0.0.0" && listen != "::") {
    return {join_host_port(listen, port)};
  }
  std::vector<std::string> outside;
  std::vector<std::string> loopback;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const std::string host = host_text(entry->ifa_addr);
    if (host.empty()) continue;
    auto& where = (entry->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : outside;
    where.push_back(fmt::format("{}:{}", host, port));
  }
  freeifaddrs(list);
  auto& addresses = outside.empty() ? loopback : outside;
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

}  // namespace hearth::cluster
