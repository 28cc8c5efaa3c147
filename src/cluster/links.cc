#include "cluster/links.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::cluster {
namespace {

constexpr double kTypicalBytes = 65536;

bool has_ucx(const DeviceFacts& device) {
  return std::ranges::find(device.transports, "ucx") != device.transports.end();
}

// The RDMA ports at the link's other end, as the device there tells of its own links.
bool has_rdma_at(const DeviceFacts& device, const std::string& host) {
  return std::ranges::any_of(device.links, [&](const LinkFacts& link) {
    return link.local_host == host && !link.rdma_ports.empty();
  });
}

}  // namespace

double seconds_for(const LinkFacts& link, double bytes) {
  const double bits_per_second = std::max<double>(1, static_cast<double>(link.bits_per_second));
  return static_cast<double>(link.latency_ns) * 1e-9 + bytes * 8 / bits_per_second;
}

const LinkFacts* best_link(const DeviceFacts& from, const DeviceId& to) {
  const LinkFacts* best = nullptr;
  for (const LinkFacts& link : from.links) {
    if (link.to != to || !link.up()) continue;
    if (best == nullptr || seconds_for(link, kTypicalBytes) < seconds_for(*best, kTypicalBytes)) {
      best = &link;
    }
  }
  return best;
}

bool was_measured(const DeviceFacts& from, const DeviceId& to) {
  return std::ranges::find(from.links, to, &LinkFacts::to) != from.links.end();
}

std::string carried_by(const DeviceFacts& from, const LinkFacts& link, const DeviceFacts& to) {
  if (!has_ucx(from) || !has_ucx(to)) return fmt::format("tcp/{}", link.interface);
  if (link.kind == "loopback") return "ucx: shared memory";
  if (!link.rdma_ports.empty() && has_rdma_at(to, link.host)) {
    return fmt::format("ucx: rdma ({})", link.rdma_ports);
  }
  return fmt::format("ucx: tcp/{}", link.interface);
}

}  // namespace hearth::cluster
