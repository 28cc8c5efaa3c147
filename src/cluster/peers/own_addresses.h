// Where this device can be reached, as it sees itself.
#pragma once

#include <string>
#include <vector>

namespace hearth::cluster {

// "host:port" for each address of the interfaces that are up, when listening on all of them, else
// the one listened on. Loopback only when there is nothing else; no link-local ones, which mean
// nothing elsewhere.
std::vector<std::string> own_addresses(const std::string& listen, int port);

// Whether only this host can reach what listens there.
bool is_loopback_host(const std::string& listen);

}  // namespace hearth::cluster
