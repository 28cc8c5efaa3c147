// The ranks of one instance, talking. Start here.
//
//   HEARTH_TRY(auto rendezvous, fabric::Rendezvous::listen(""));  // publish rendezvous->port()
//   fabric::GroupOptions options{.rank = 1, .addresses = {"10.0.0.2:4711", ...}, .token = token};
//   HEARTH_TRY(auto group, fabric::Group::join(std::move(rendezvous), options));
//   HEARTH_RETURN_IF_ERROR(group->send(0, kTokens, bytes));
//
// Failure: when any rank dies, stalls or leaves, every waiting and every later call on every rank
// returns kUnavailable naming that rank, within 2 s: "rank 1 at 10.0.0.2:4711 died: connection
// closed". A group that failed stays failed; make a new one with a new token, in the same processes
// if they live: nothing of the old group enters it.
//
// Noticed are: processes that end or are stopped, hosts and links that vanish, ranks that leave,
// and bytes that make no sense. Not noticed is a thread that hangs while its process lives: it
// looks like one that computes for long. Whoever knows how long that may take calls fail().
//
// An orderly end: barrier() on every rank, then destroy the groups. What a rank sent before it left
// still reaches a rank that is waiting for it (for 300 ms).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "fabric/transport.h"

namespace hearth::fabric {

// A listening TCP socket that peers dial first. It carries the exchange of transport addresses and
// then liveness (a byte every 500 ms each way; 1.5 s of silence or a closed connection is death).
class Rendezvous {
 public:
  virtual ~Rendezvous() = default;
  // Binds an ephemeral port at `host` (IPv4, IPv6 or name; empty: every interface). kUnavailable
  // otherwise.
  static Result<std::unique_ptr<Rendezvous>> listen(const std::string& host);
  virtual int port() const = 0;
};

struct GroupOptions {
  int rank = 0;
  // "host:port" of every rank's Rendezvous, in rank order (own entry unused). The size is the
  // group's size.
  std::vector<std::string> addresses;
  // Shared secret of this group and epoch; a connection that does not present it is refused.
  std::string token;
  // See make_transport, or "auto": the best that every rank has. All ranks of a group name the
  // same.
  std::string transport = "auto";
  int connect_timeout_ms = 30'000;
  std::stop_token stop;  // ends join() with kCancelled, from any thread
};

// Collectives (collectives.h) sends with this tag and the next.
inline constexpr Tag kTeamTag = 0xFFFE0000;
// Tags from here on are Group's own: 0xFFFF0000 broadcast, 0xFFFF0001 barrier.
inline constexpr Tag kReservedTags = 0xFFFF0000;

// Messages and blocking collectives over the ranks. Calls are made by one thread at a time,
// collectives in the same order on every rank; `fail` and `status` may be called from any thread.
// Two ranks may send to each other at once and receive afterwards, see transport.h.
//
// Every call returns kUnavailable once the group has failed, and kInvalidArgument for a rank that
// is not another one of the group, a reserved tag or a message over limits::kFrameBytesMax; the
// group lives on then.
class Group {
 public:
  virtual ~Group() = default;

  // Rendezvous with every other rank, exchanges addresses, connects the transport. kUnavailable or
  // kDeadlineExceeded name the rank that did not come, kPermissionDenied a wrong token,
  // kUnsupported a rank that lacks the transport or speaks another version, kInvalidArgument what
  // is wrong with `options`, kCancelled that it was stopped. Connections of strangers are refused
  // and do not matter. The port is closed when this returns. A group of one needs no rendezvous
  // (pass nullptr) and never fails.
  static Result<std::unique_ptr<Group>> join(std::unique_ptr<Rendezvous> rendezvous,
                                             GroupOptions options);

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // "tcp", "ucx", "shm", "memory", or "none" (size 1).
  virtual std::string_view transport() const = 0;
  // As Transport has it.
  virtual bool shares_memory(int rank) const = 0;
  virtual std::string carrier(int rank) const = 0;

  virtual Result<void> send(int to, Tag tag, std::span<const std::byte> data) = 0;
  // Returns the message's size; kCorrupt when it is larger than `data`, and the message is dropped.
  virtual Result<size_t> recv(int from, Tag tag, std::span<std::byte> data) = 0;
  // A message of unknown size (<= limits::kFrameBytesMax), resized to fit; its capacity is reused.
  virtual Result<void> recv(int from, Tag tag, std::vector<std::byte>* data) = 0;
  // `data` of `root` reaches every rank; same size on all, else kCorrupt.
  virtual Result<void> broadcast(int root, std::span<std::byte> data) = 0;
  // Returns once every rank has entered.
  virtual Result<void> barrier() = 0;

  // Fails the group on every rank with "rank N at HOST:PORT failed: reason", e.g. because this
  // rank's computation failed. The others have been told when this returns. Thread-safe.
  virtual void fail(const std::string& reason) = 0;
  // The error that failed the group; ok while it lives. Thread-safe.
  virtual Result<void> status() const = 0;
};

// What carries messages to the other ranks, for people: "ucx: tcp/eth0"; "ucx: tcp/eth0 to
// rank 0; ucx: shared memory (sysv) to rank 2" where they differ; "none" (size 1).
std::string carriers(const Group& group);

// `size` connected groups within one process, for tests of what stands on Group.
std::vector<std::unique_ptr<Group>> in_memory_groups(int size);

}  // namespace hearth::fabric
