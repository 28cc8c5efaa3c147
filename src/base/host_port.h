// "host:port" as text.
#pragma once

#include <string>
#include <string_view>

namespace hearth {

// "10.0.0.2:52416", "studio.local:52416"; with brackets around an IPv6 host: "[fd00::2]:52416".
std::string join_host_port(std::string_view host, int port);

}  // namespace hearth
