#include "daemon/address.h"

#include <algorithm>
#include <charconv>

namespace hearth::daemon {

Address split_address(std::string_view text) {
  Address address;
  const size_t colon = text.rfind(':');
  const bool bare_ipv6 = !text.starts_with('[') && std::ranges::count(text, ':') > 1;
  std::string_view host = bare_ipv6 ? text : text.substr(0, colon);
  if (!bare_ipv6 && colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size() || address.port < 0 ||
        address.port > 65535) {
      address.port = 0;
    }
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  address.host = host;
  return address;
}

std::string_view address_type(std::string_view host) {
  if (host.find(':') != std::string_view::npos) return "ip6";
  const bool digits =
      !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
  return digits ? "ip4" : "dns";
}

}  // namespace hearth::daemon
