// What the cluster knows of the paths between its devices. Pure functions.
#pragma once

#include <string>

#include "cluster/view.h"

namespace hearth::cluster {

// Of the paths from a device to another, the one over which a message of 64 KiB, between a token's
// and a prompt's, arrives first: latency counts for small ones, bandwidth for large ones, the order
// of addresses never. nullptr while none is up.
const LinkFacts* best_link(const DeviceFacts& from, const DeviceId& to);

// Whether the device has tried to reach the other, with whatever outcome.
bool was_measured(const DeviceFacts& from, const DeviceId& to);

// One way, for a message of so many bytes. REQUIRES: link.up().
double seconds_for(const LinkFacts& link, double bytes);

// What would carry messages of ranks over the link, for people, judged by what both devices have:
// "ucx: shared memory", "ucx: rdma (mlx5_0:1)", "ucx: tcp/eth0", "tcp/eth0". What does carry those
// of a running instance its runners say.
std::string carried_by(const DeviceFacts& from, const LinkFacts& link, const DeviceFacts& to);

}  // namespace hearth::cluster
