// How bytes move between the ranks of one instance. Group (group.h) is the face the rest of Hearth
// uses; a Transport is what it stands on: UCX, plain TCP, or memory (tests).
//
// A transport moves tagged messages between numbered ranks, in order per (peer, tag), and knows
// nothing of models, failure detection or collectives. Liveness is Group's business and the same
// for every transport.
//
// Messages that arrive before they are asked for are kept, by every call that waits and from every
// peer. So two ranks, or a ring of them, may send to each other at once and receive afterwards.
// Once kUnclaimedBytesMax are kept from a peer, no further message of it is taken: it waits in
// send(), and ranks that all wait so for each other are stuck until the group fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace hearth::fabric {

// What a message is for; messages of different tags overtake each other, messages of one tag do
// not.
using Tag = uint32_t;

// Bytes kept from one peer until they are received, counting kUnclaimedOverheadBytes for each
// message.
inline constexpr int64_t kUnclaimedBytesMax = 64_MiB;
inline constexpr int64_t kUnclaimedOverheadBytes = 64;

// Where a received message goes.
class Destination {
 public:
  // At most data.size() bytes.
  explicit Destination(std::span<std::byte> data) : fixed_(data) {}
  // Any size; `data` is resized to fit and its capacity reused. Not null.
  explicit Destination(std::vector<std::byte>* data) : growing_(data) {}

  // Room for a message of `bytes`. kCorrupt if it does not fit, kResourceExhausted without memory.
  Result<std::byte*> reserve(size_t bytes) const;

 private:
  std::span<std::byte> fixed_;
  std::vector<std::byte>* growing_ = nullptr;
};

// One rank's end. Not thread-safe, except that `abort` may be called from any thread.
// Destruction delivers what was sent (waiting at most 500 ms), unless the transport was aborted.
class Transport {
 public:
  virtual ~Transport() = default;

  // "tcp", "ucx", "shm" or "memory".
  virtual std::string_view name() const = 0;

  // Opaque bytes (<= 4 KiB) that tell a peer how to reach this rank over this transport; exchanged
  // by Group over its rendezvous connections before `connect`. `local_hosts[i]` is the address of
  // this machine at which it met rank i (own entry empty): the way to rank i is known to lead
  // through that interface. `hosts` as for connect(). kUnavailable when this transport does not
  // reach all of them from here.
  virtual Result<std::string> local_address(std::span<const std::string> local_hosts,
                                            std::span<const std::string> hosts) = 0;

  // Connects to every other rank. `addresses[i]` is rank i's local_address(), `hosts[i]` the host
  // at which rank i answered the rendezvous. Blocks until all are connected; kUnavailable names the
  // rank that is not, kDeadlineExceeded after `timeout_ms`.
  virtual Result<void> connect(int rank, std::span<const std::string> addresses,
                               std::span<const std::string> hosts, const std::string& token,
                               int timeout_ms) = 0;

  // Sends `data` (<= limits::kFrameBytesMax) to `peer`; returns when `data` may be reused.
  // kUnavailable names a peer that is gone.
  virtual Result<void> send(int peer, Tag tag, std::span<const std::byte> data) = 0;

  // Receives the next message of `tag` from `peer`; returns its size in bytes. Blocks (spins
  // briefly, then sleeps). kCorrupt if the message does not fit, which is then dropped;
  // kUnavailable if the peer is gone; kResourceExhausted if more than is kept came before a message
  // of `tag`.
  virtual Result<size_t> recv(int peer, Tag tag, Destination into) = 0;

  // Whether messages to `peer`, another rank, go through memory that both their processes see.
  virtual bool shares_memory(int /*peer*/) const { return false; }

  // What carries messages to `peer`, another rank, once connected, for people: "tcp/eth0",
  // "ucx: tcp/eth0", "ucx: rc_mlx5/mlx5_0:1" (in UCX's own words), "ucx: shared memory (posix)".
  virtual std::string carrier(int peer) const = 0;

  // Makes every waiting and later call return `kUnavailable` with this message, soon (< 100 ms).
  // The first reason stays. Thread-safe.
  virtual void abort(const std::string& reason) = 0;
};

// The transports this build has, best first: {"ucx", "tcp"} or {"tcp"}.
std::vector<std::string> transport_names();

// "ucx", "tcp" or "shm" (UCX restricted to shared memory; same host only). Every rank of a group
// uses the same. `listen_host` is where a listener it may need is bound, empty for every interface.
// kInvalidArgument lists the names; kUnsupported if this build lacks it.
Result<std::unique_ptr<Transport>> make_transport(std::string_view name,
                                                  const std::string& listen_host);

}  // namespace hearth::fabric
