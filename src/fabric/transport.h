// How bytes move between the ranks of one instance. Group (group.h) is the face the rest of Hearth
// uses; a Transport is what it stands on: UCX, plain TCP, or memory (tests).
//
// A transport moves tagged messages between numbered ranks, in order per (peer, tag), and knows
// nothing of models, failure detection or collectives. Liveness is Group's business and the same
// for every transport.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::fabric {

// What a message is for; messages of different tags overtake each other, messages of one tag do
// not.
using Tag = uint32_t;

// One rank's end. Not thread-safe, except that `abort` may be called from any thread.
class Transport {
 public:
  virtual ~Transport() = default;

  // "tcp", "ucx" or "memory".
  virtual std::string_view name() const = 0;

  // Opaque bytes (<= 4 KiB) that tell a peer how to reach this rank over this transport; exchanged
  // by Group over its rendezvous connection before `connect`.
  virtual Result<std::string> local_address() = 0;

  // Connects to every other rank. `addresses[i]` is rank i's local_address(), `hosts[i]` the host
  // at which rank i answered the rendezvous. Blocks until all are connected; kUnavailable names the
  // rank that is not, kDeadlineExceeded after `timeout_ms`.
  virtual Result<void> connect(int rank, std::span<const std::string> addresses,
                               std::span<const std::string> hosts, const std::string& token,
                               int timeout_ms) = 0;

  // Sends `data` to `peer`; returns when `data` may be reused. kUnavailable names a peer that is
  // gone.
  virtual Result<void> send(int peer, Tag tag, std::span<const std::byte> data) = 0;

  // Receives the next message of `tag` from `peer` into `data`; returns its size in bytes. Blocks
  // (spins briefly, then sleeps). kCorrupt if the message does not fit, kUnavailable if the peer is
  // gone.
  virtual Result<size_t> recv(int peer, Tag tag, std::span<std::byte> data) = 0;

  // Makes every waiting and later call return `kUnavailable` with this message, soon (< 100 ms).
  // Thread-safe.
  virtual void abort(const std::string& reason) = 0;
};

// The transports this build has, best first: {"ucx", "tcp"} or {"tcp"}.
std::vector<std::string> transport_names();

// "ucx", "tcp", or "shm" (UCX restricted to shared memory; same host only), or "auto" (the first
// that works). kInvalidArgument lists the names; kUnsupported if this build lacks it.
Result<std::unique_ptr<Transport>> make_transport(std::string_view name);

}  // namespace hearth::fabric
