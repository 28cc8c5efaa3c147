#include "fabric/team/hosts.h"

#include <algorithm>
#include <cstddef>
#include <span>

namespace hearth::fabric {

Result<Hosts> find_hosts(const Group& group, const std::vector<int>& ranks, int own, Mail& mail) {
  const size_t size = ranks.size();
  std::vector<std::byte> mine(size);
  for (size_t r = 0; r < size; ++r) {
    const bool shared = static_cast<int>(r) == own || group.shares_memory(ranks[r]);
    mine[r] = std::byte{shared};
  }
  std::vector<std::vector<std::byte>> shares(size, std::vector<std::byte>(size));
  const std::vector<std::span<std::byte>> all(shares.begin(), shares.end());
  HEARTH_RETURN_IF_ERROR(mail.all_gather(mine, all));
  const auto near = [&](size_t a, size_t b) {
    return shares[a][b] != std::byte{0} && shares[b][a] != std::byte{0};
  };
  Hosts hosts;
  for (size_t r = 0; r < size; ++r) {
    const auto home = std::find_if(hosts.begin(), hosts.end(), [&](const std::vector<int>& host) {
      return std::all_of(host.begin(), host.end(),
                         [&](int other) { return near(r, static_cast<size_t>(other)); });
    });
    if (home == hosts.end()) {
      hosts.push_back({static_cast<int>(r)});
    } else {
      home->push_back(static_cast<int>(r));
    }
  }
  return hosts;
}

}  // namespace hearth::fabric
