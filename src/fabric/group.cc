#include "fabric/group.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "fabric/memory/memory_transport.h"
#include "fabric/rendezvous/bond.h"
#include "fabric/rendezvous/listener.h"
#include "fabric/rendezvous/meet.h"
#include "fabric/rendezvous/offers.h"
#include "fabric/rendezvous/socket_bond.h"

namespace hearth::fabric {
namespace {

using Clock = std::chrono::steady_clock;

enum OwnTag : Tag { kBroadcastTag = kReservedTags, kBarrierTag };

// A broken data connection is usually a dead rank, of which the bond knows more within this time.
constexpr int kExplainMs = 500;

// The bond of a group of one.
class LoneBond final : public Bond {
 public:
  void guard(Transport*) override {}
  void fail(const Error& error) override {
    std::lock_guard lock(mutex_);
    if (status_.ok()) status_ = error;
  }
  Result<void> status() const override {
    std::lock_guard lock(mutex_);
    return status_;
  }
  Result<void> wait_for_failure(int) const override { return status(); }

 private:
  mutable std::mutex mutex_;
  Result<void> status_;
};

class GroupImpl final : public Group {
 public:
  // `name` of this rank in the words that others hear when it fails.
  GroupImpl(int rank, int size, std::string name, std::unique_ptr<Transport> transport,
            std::unique_ptr<Bond> bond)
      : rank_(rank),
        size_(size),
        name_(std::move(name)),
        transport_(std::move(transport)),
        bond_(std::move(bond)) {
    if (transport_ != nullptr) bond_->guard(transport_.get());
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string_view transport() const override {
    return transport_ == nullptr ? "none" : transport_->name();
  }
  bool shares_memory(int rank) const override {
    return rank != rank_ && transport_->shares_memory(rank);
  }

  std::string carrier(int rank) const override { return transport_->carrier(rank); }

  Result<void> send(int to, Tag tag, std::span<const std::byte> data) override {
    HEARTH_RETURN_IF_ERROR(check(to, tag));
    return send_any(to, tag, data);
  }

  Result<size_t> recv(int from, Tag tag, std::span<std::byte> data) override {
    HEARTH_RETURN_IF_ERROR(check(from, tag));
    return recv_any(from, tag, Destination(data));
  }

  Result<void> recv(int from, Tag tag, std::vector<std::byte>* data) override {
    HEARTH_RETURN_IF_ERROR(check(from, tag));
    HEARTH_RETURN_IF_ERROR(recv_any(from, tag, Destination(data)));
    return {};
  }

  Result<void> broadcast(int root, std::span<std::byte> data) override {
    if (root < 0 || root >= size_) return no_such_rank(root);
    if (rank_ != root) {
      HEARTH_TRY(const size_t bytes, recv_any(root, kBroadcastTag, Destination(data)));
      if (bytes == data.size()) return {};
      return Error(Code::kCorrupt, fmt::format("rank {} broadcast {} bytes where {} were expected",
                                               root, bytes, data.size()));
    }
    // One message after the other: groups are small, and the last rank waits least so.
    for (int rank = 0; rank < size_; ++rank) {
      if (rank != root) HEARTH_RETURN_IF_ERROR(send_any(rank, kBroadcastTag, data));
    }
    return bond_->status();
  }

  // Dissemination barrier (Hensgen, Finkel, Manber 1988): after round k, a rank knows that the
  // 2^(k+1) ranks before it have entered. One way of latency per round, ceil(log2 size) rounds.
  Result<void> barrier() override {
    for (int distance = 1; distance < size_; distance *= 2) {
      HEARTH_RETURN_IF_ERROR(send_any((rank_ + distance) % size_, kBarrierTag, {}));
      HEARTH_RETURN_IF_ERROR(recv_any((rank_ + size_ - distance) % size_, kBarrierTag,
                                      Destination(std::span<std::byte>())));
    }
    return bond_->status();
  }

  void fail(const std::string& reason) override {
    bond_->fail(Error(Code::kUnavailable, fmt::format("{} failed: {}", name_, reason)));
  }
  Result<void> status() const override { return bond_->status(); }

 private:
  Error no_such_rank(int rank) const {
    return Error(Code::kInvalidArgument,
                 fmt::format("rank {} is not another rank of this group of {}", rank, size_));
  }

  Result<void> check(int peer, Tag tag) const {
    if (peer < 0 || peer >= size_ || peer == rank_) return no_such_rank(peer);
    if (tag >= kReservedTags) {
      return Error(Code::kInvalidArgument, fmt::format("tag {:#x} is reserved", tag));
    }
    return {};
  }

  Result<void> send_any(int to, Tag tag, std::span<const std::byte> data) {
    if (data.size() > static_cast<size_t>(limits::kFrameBytesMax)) {
      return Error(Code::kInvalidArgument,
                   fmt::format("a message of {} bytes is over the limit of {}", data.size(),
                               limits::kFrameBytesMax));
    }
    HEARTH_RETURN_IF_ERROR(bond_->status());
    return explain(transport_->send(to, tag, data));
  }

  Result<size_t> recv_any(int from, Tag tag, Destination into) {
    HEARTH_RETURN_IF_ERROR(bond_->status());
    return explain(transport_->recv(from, tag, into));
  }

  // A peer gone at the transport is the group's failure; the bond's words for it are better.
  template <class T>
  Result<T> explain(Result<T> result) {
    if (result.ok() || result.error().code() != Code::kUnavailable) return result;
    if (bond_->wait_for_failure(kExplainMs).ok()) bond_->fail(result.error());
    return bond_->status().error();
  }

  const int rank_;
  const int size_;
  const std::string name_;
  // The bond goes first: it says goodbye before connections close, and aborts the transport until
  // then.
  const std::unique_ptr<Transport> transport_;
  const std::unique_ptr<Bond> bond_;
};

Result<void> check(const Rendezvous* rendezvous, const GroupOptions& options) {
  const auto bad = [](std::string message) {
    return Error(Code::kInvalidArgument, std::move(message));
  };
  const int size = static_cast<int>(options.addresses.size());
  if (size < 1 || size > limits::kRanksMax) {
    return bad(fmt::format("a group has 1 to {} ranks, not {}", limits::kRanksMax, size));
  }
  if (options.rank < 0 || options.rank >= size) {
    return bad(fmt::format("there is no rank {} in a group of {}", options.rank, size));
  }
  if (size > 1 && rendezvous == nullptr) return bad("a group of several ranks needs a rendezvous");
  if (size > 1 && options.token.empty()) return bad("a group of several ranks needs a token");
  for (int rank = 0; rank < options.rank; ++rank) {
    HEARTH_RETURN_IF_ERROR(parse_host_port(options.addresses[rank]));
  }
  return {};
}

// Everything between the first dial and a working group.
class Joining {
 public:
  Joining(const Listener& listener, const GroupOptions& options)
      : listener_(listener),
        options_(options),
        size_(static_cast<int>(options.addresses.size())),
        deadline_(Clock::now() + std::chrono::milliseconds(options.connect_timeout_ms)) {}

  Result<std::unique_ptr<Group>> run() {
    HEARTH_RETURN_IF_ERROR(meet_all());
    if (auto chosen = choose_and_connect(); !chosen.ok()) {
      bond_->fail(Error(
          Code::kUnavailable,
          fmt::format("{} failed to join: {}", name(options_.rank), chosen.error().message())));
      return chosen.error();
    }
    return std::unique_ptr<Group>(std::make_unique<GroupImpl>(
        options_.rank, size_, name(options_.rank), std::move(transport_), std::move(bond_)));
  }

 private:
  std::string name(int rank) const {
    const std::string& address = options_.addresses[rank];
    return address.empty() ? fmt::format("rank {}", rank)
                           : fmt::format("rank {} at {}", rank, address);
  }

  int left_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    return std::max(static_cast<int>(left.count()), 0);
  }

  Result<void> meet_all() {
    Meeting meeting;
    meeting.me = Party{options_.rank, size_, Purpose::kControl, options_.token};
    meeting.addresses = options_.addresses;
    meeting.timeout_ms = left_ms();
    HEARTH_TRY(const Alarm alarm, Alarm::make());
    const std::stop_callback ring(options_.stop, [&alarm] { alarm.ring(); });
    meeting.alarm = &alarm;
    HEARTH_TRY(std::vector<Socket> sockets, meet(listener_.socket(), meeting));
    for (const Socket& socket : sockets) {
      hosts_.push_back(socket ? peer_host(socket) : "");
      local_hosts_.push_back(socket ? local_host(socket) : "");
    }
    HEARTH_TRY(bond_, SocketBond::make(options_.rank, std::move(sockets), options_.addresses));
    return {};
  }

  Result<void> choose_and_connect() {
    const std::stop_callback leave(options_.stop, [this] {
      bond_->fail(Error(Code::kCancelled,
                        fmt::format("{} was stopped while joining", name(options_.rank))));
    });
    HEARTH_TRY(const std::vector<Offer> mine, make_offers());
    HEARTH_TRY(const std::vector<std::string> replies,
               bond_->exchange(encode_offers(mine), deadline_));
    std::vector<std::vector<Offer>> offers;
    for (int rank = 0; rank < size_; ++rank) {
      auto theirs = decode_offers(replies[rank]);
      if (!theirs.ok()) return theirs.error().context(name(rank));
      offers.push_back(rank == options_.rank ? mine : std::move(*theirs));
    }
    HEARTH_TRY(const std::string chosen, choose(offers));
    transport_ = std::move(candidates_[chosen]);
    candidates_.clear();
    std::vector<std::string> addresses;
    for (const auto& of_rank : offers) addresses.push_back(*find_offer(of_rank, chosen));
    bond_->guard(transport_.get());
    const auto connected =
        transport_->connect(options_.rank, addresses, hosts_, options_.token, left_ms());
    if (connected.ok() || connected.error().code() != Code::kUnavailable) return connected;
    HEARTH_RETURN_IF_ERROR(bond_->wait_for_failure(kExplainMs));
    return connected;
  }

  Result<std::vector<Offer>> make_offers() {
    const bool any = options_.transport == "auto";
    std::vector<Offer> offers;
    for (const std::string& name : any ? transport_names() : std::vector{options_.transport}) {
      auto transport = make_transport(name, listener_.host());
      if (!transport.ok()) {
        if (!any) return transport.error();
        log::debug("there is no transport {} here: {}", name, transport.error().message());
        continue;
      }
      auto address = (*transport)->local_address(local_hosts_, hosts_);
      if (!address.ok()) {
        if (!any) return address.error();
        log::warn("ranks do without the transport {}: {}", name, address.error().message());
        continue;
      }
      offers.push_back({name, std::move(*address)});
      candidates_[name] = std::move(*transport);
    }
    return offers;
  }

  // The first of rank 0's offers that every rank has: the same on every rank.
  Result<std::string> choose(const std::vector<std::vector<Offer>>& offers) const {
    std::string missing = "rank 0 offers no transport";
    for (const Offer& offer : offers[0]) {
      int rank = 0;
      while (rank < size_ && find_offer(offers[rank], offer.transport) != nullptr) ++rank;
      if (rank == size_) return offer.transport;
      missing = fmt::format("{} has no transport '{}'", name(rank), offer.transport);
    }
    return Error(Code::kUnsupported, missing);
  }

  const Listener& listener_;
  const GroupOptions& options_;
  const int size_;
  const Clock::time_point deadline_;
  std::vector<std::string> hosts_, local_hosts_;  // see Transport
  std::map<std::string, std::unique_ptr<Transport>> candidates_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<SocketBond> bond_;  // goes before the transport that it guards
};

}  // namespace

Result<std::unique_ptr<Rendezvous>> Rendezvous::listen(const std::string& host) {
  HEARTH_TRY(Socket socket, listen_at(host));
  return std::unique_ptr<Rendezvous>(std::make_unique<Listener>(std::move(socket), host));
}

Result<std::unique_ptr<Group>> Group::join(std::unique_ptr<Rendezvous> rendezvous,
                                           GroupOptions options) {
  HEARTH_RETURN_IF_ERROR(check(rendezvous.get(), options));
  if (options.addresses.size() == 1) {
    return std::unique_ptr<Group>(
        std::make_unique<GroupImpl>(0, 1, "rank 0", nullptr, std::make_unique<LoneBond>()));
  }
  return Joining(static_cast<const Listener&>(*rendezvous), options).run();
}

std::string carriers(const Group& group) {
  std::string text;
  std::set<std::string> distinct = {"none"};
  for (int rank = 0; rank < group.size(); ++rank) {
    if (rank == group.rank()) continue;
    const std::string carrier = group.carrier(rank);
    distinct.erase("none");
    distinct.insert(carrier);
    text += fmt::format("{}{} to rank {}", text.empty() ? "" : "; ", carrier, rank);
  }
  return distinct.size() == 1 ? *distinct.begin() : text;
}

std::vector<std::unique_ptr<Group>> in_memory_groups(int size) {
  auto hub = std::make_shared<MemoryHub>(size);
  std::vector<std::unique_ptr<Group>> groups;
  for (int rank = 0; rank < size; ++rank) {
    groups.push_back(std::make_unique<GroupImpl>(rank, size, fmt::format("rank {}", rank),
                                                 std::make_unique<MemoryTransport>(hub, rank),
                                                 std::make_unique<MemoryBond>(hub, rank)));
  }
  return groups;
}

}  // namespace hearth::fabric
