#include "base/host_port.h"

#include <fmt/format.h>

namespace hearth {

std::string join_host_port(std::string_view host, int port) {
  const bool ipv6 = host.find(':') != std::string_view::npos;
  return ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace hearth
