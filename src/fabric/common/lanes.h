// What UCX prints of its endpoints and contexts, understood. Pure; needs no UCX.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace hearth::fabric {

// The lanes that carry messages in what ucp_ep_print_info writes: "ucx: rc_mlx5/mlx5_0:1", several
// with commas, "ucx: shared memory (sysv)", or just "ucx" where it names none. Lanes that only
// establish or watch the connection do not count.
std::string carrier_of(std::string_view endpoint_info);

// The devices of all resources in what ucp_context_print_info writes: "memory", "eth0",
// "mlx5_0:1".
std::set<std::string> devices_of(std::string_view context_info);

}  // namespace hearth::fabric
