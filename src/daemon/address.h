// Parts of "host:port" texts: "10.0.0.2:52416", "studio.local:52416", "[fe80::1%eth0]:52416".
#pragma once

#include <string>
#include <string_view>

namespace hearth::daemon {

struct Address {
  std::string host;  // without brackets
  int port = 0;      // 0: none, or not a number
};

Address split_address(std::string_view text);

// "ip4", "ip6" or "dns".
std::string_view address_type(std::string_view host);

}  // namespace hearth::daemon
