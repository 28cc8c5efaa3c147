// Messages are UCX active messages (ucp_am_send_nbx): one worker per transport, driven by the
// calling thread alone. Each carries a small header, docs/protocols.md, "UCX messages".
#include "fabric/ucx/ucx_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "fabric/common/devices.h"
#include "fabric/common/inbox.h"
#include "fabric/common/lanes.h"
#include "fabric/common/patience.h"
#include "fabric/interface.h"
#include "fabric/rendezvous/socket.h"
#include "fabric/ucx/library.h"
#include "fabric/ucx/peer.h"
#include "fabric/ucx/worker.h"

namespace hearth::fabric {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kDeliverWithin = 100ms;
constexpr auto kCloseWithin = 300ms;
// Up to this size a message is sent at once ("eager"); a larger one when the receiver pulls it.
constexpr size_t kEagerBytesMax = 1_MiB;
// After this much sent at once the next message waits to be pulled: a sender far ahead of its
// receiver so comes to wait for it.
constexpr int64_t kEagerWindowBytes = 16_MiB;

enum MessageId : unsigned { kHelloId, kDataId };

using Addresses = UcxAddresses;
using Arrival = UcxArrival;
using Header = UcxHeader;
using Peer = UcxPeer;

int64_t cost(size_t bytes) { return static_cast<int64_t>(bytes) + kUnclaimedOverheadBytes; }

// The receive that is waiting.
struct Posted {
  int peer;
  Tag tag;
  Destination into;
  std::optional<Result<size_t>> result{};
};

class UcxTransport final : public Transport {
 public:
  UcxTransport(const Ucx& ucx, UcxReach reach, Alarm alarm)
      : ucx_(ucx), reach_(reach), alarm_(std::move(alarm)) {}
  ~UcxTransport() override;

  std::string_view name() const override { return reach_ == UcxReach::kSameHost ? "shm" : "ucx"; }
  Result<std::string> local_address(std::span<const std::string> local_hosts,
                                    std::span<const std::string> hosts) override;
  Result<void> connect(int rank, std::span<const std::string> addresses,
                       std::span<const std::string> hosts, const std::string& token,
                       int timeout_ms) override;
  Result<void> send(int to, Tag tag, std::span<const std::byte> data) override;
  Result<size_t> recv(int from, Tag tag, Destination into) override;
  bool shares_memory(int peer) const override { return peers_[peer].shares_memory; }
  std::string carrier(int peer) const override { return peers_[peer].carrier; }
  void abort(const std::string& reason) override;

 private:
  using Position = std::list<Arrival>::iterator;

  static ucs_status_t on_hello(void* self, const void* header, size_t header_bytes, void* data,
                               size_t bytes, const ucp_am_recv_param_t* param);
  static ucs_status_t on_message(void* self, const void* header, size_t header_bytes, void* data,
                                 size_t bytes, const ucp_am_recv_param_t* param);
  static void on_error(void* peer, ucp_ep_h endpoint, ucs_status_t status);
  // The rank that sent this, or null for a stranger.
  Peer* sender(const void* header, size_t header_bytes, Tag* tag);
  ucs_status_t arrive(Peer* peer, Tag tag, void* data, size_t bytes, bool at_sender);

  std::string text(ucs_status_t status) const { return ucx_.ucs_status_string(status); }
  Result<void> aborted() const;

  Result<void> listen(MessageId id, ucp_am_recv_callback_t callback);
  Result<void> open(int rank, const std::string& address);
  // Two greetings with every peer.
  Result<void> greet(Clock::time_point deadline);
  Result<void> transmit(int to, MessageId id, Tag tag, std::span<const std::byte> data);

  Position find(Peer* peer, Tag tag) const;
  // Hands `arrival` over and forgets it.
  Result<size_t> take(Peer* peer, Position arrival, const Destination& into);
  Result<size_t> take_from_sender(Peer* peer, Position arrival, const Destination& into);
  // Starts to pull; the request, for finish().
  void* pull(Arrival* arrival, std::byte* to);
  // Pulls what lies with senders as far as there is room, so that they need not wait for this rank.
  void pull_all();

  // Drives UCX until `done()`; kUnavailable when aborted, kDeadlineExceeded after `deadline`.
  template <class Done>
  Result<void> drive(Done done, Clock::time_point deadline = Clock::time_point::max());
  // Waits for the end of `request`, which may be null or an error already; frees it.
  Result<ucs_status_t> finish(void* request);
  bool running(void* request) const {
    return UCS_PTR_IS_PTR(request) && ucx_.ucp_request_check_status(request) == UCS_INPROGRESS;
  }
  void flush_all();
  void close_all();

  const Ucx& ucx_;
  const UcxReach reach_;
  const Alarm alarm_;
  int rank_ = 0;
  std::unique_ptr<UcxWorker> worker_;
  std::vector<Peer> peers_;  // by rank
  std::optional<Posted> posted_;
  Patience patience_;
  int at_senders_ = 0;  // arrivals with a descriptor

  std::atomic<bool> aborted_ = false;
  mutable std::mutex mutex_;  // guards reason_
  std::string reason_;
};

UcxTransport::~UcxTransport() {
  if (worker_ == nullptr) return;
  if (!aborted_) flush_all();
  close_all();
  worker_.reset();  // before the memory that it may still write to
}

Result<std::string> UcxTransport::local_address(std::span<const std::string> local_hosts,
                                                std::span<const std::string> hosts) {
  HEARTH_TRY(worker_, UcxWorker::make(ucx_, reach_, local_hosts));
  for (size_t peer = 0; peer < hosts.size() && reach_ == UcxReach::kAnywhere; ++peer) {
    if (is_own_host(hosts[peer])) continue;  // shared memory does
    HEARTH_RETURN_IF_ERROR(worker_->check_way_from(local_hosts[peer]));
  }
  HEARTH_RETURN_IF_ERROR(listen(kHelloId, on_hello));
  HEARTH_RETURN_IF_ERROR(listen(kDataId, on_message));
  // Shared memory only for peers at this machine's own addresses: between network namespaces it
  // would connect, but a sleeping worker would not be woken.
  HEARTH_TRY(const std::string near, worker_->address(0));
  HEARTH_TRY(const std::string far, worker_->address(UCP_WORKER_ADDRESS_FLAG_NET_ONLY));
  return Addresses{near, far}.encode();
}

Result<void> UcxTransport::listen(MessageId id, ucp_am_recv_callback_t callback) {
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB |
                       UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = id;
  handler.cb = callback;
  handler.arg = this;
  const ucs_status_t status = ucx_.ucp_worker_set_am_recv_handler(worker_->handle(), &handler);
  if (status != UCS_OK) return Error(Code::kUnavailable, "UCX: " + text(status));
  return {};
}

Result<void> UcxTransport::connect(int rank, std::span<const std::string> addresses,
                                   std::span<const std::string> hosts, const std::string& token,
                                   int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  rank_ = rank;
  peers_ = std::vector<Peer>(addresses.size());
  for (int peer = 0; peer < static_cast<int>(peers_.size()); ++peer) {
    peers_[peer].rank = peer;
    peers_[peer].send_seal = seal_of(token, rank_, peer);
    peers_[peer].recv_seal = seal_of(token, peer, rank_);
    if (peer == rank_) continue;
    const Addresses reachable = Addresses::decode(addresses[peer]);
    const bool near = is_own_host(hosts[peer]);
    if (!near && reach_ == UcxReach::kSameHost) {
      return Error(Code::kUnavailable,
                   fmt::format("rank {} at {} shares no memory with this host", peer, hosts[peer]));
    }
    peers_[peer].shares_memory = near && worker_->shares_memory();
    HEARTH_RETURN_IF_ERROR(open(peer, near ? reachable.near : reachable.far));
  }
  HEARTH_RETURN_IF_ERROR(greet(deadline));
  for (Peer& peer : peers_) {
    if (peer.endpoint != nullptr)
      peer.carrier = carrier_of(printed(ucx_.ucp_ep_print_info, peer.endpoint));
  }
  return {};
}

Result<void> UcxTransport::greet(Clock::time_point deadline) {
  // Connections of UCX come to be while both sides drive it. The second hello says that the first
  // has left, so that nobody stops driving while another still needs it.
  for (const Tag round : {1, 2}) {
    for (const Peer& peer : peers_) {
      if (peer.rank != rank_) HEARTH_RETURN_IF_ERROR(transmit(peer.rank, kHelloId, round, {}));
    }
    for (const Peer& peer : peers_) {
      if (peer.rank == rank_) continue;
      const auto heard = drive([&] { return peer.hellos >= round || peer.gone; }, deadline);
      if (!heard.ok())
        return heard.error().context(fmt::format("connecting to rank {}", peer.rank));
      if (peer.hellos < round) return *peer.gone;
    }
  }
  return {};
}

Result<void> UcxTransport::open(int rank, const std::string& address) {
  Peer& peer = peers_[rank];
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.address = reinterpret_cast<const ucp_address_t*>(address.data());
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler.cb = on_error;
  params.err_handler.arg = &peer;
  if (address.empty()) {
    return Error(Code::kUnavailable, fmt::format("rank {}: no address to reach it at", rank));
  }
  const ucs_status_t status = ucx_.ucp_ep_create(worker_->handle(), &params, &peer.endpoint);
  if (status != UCS_OK)
    return Error(Code::kUnavailable, fmt::format("rank {}: {}", rank, text(status)));
  return {};
}

Result<void> UcxTransport::send(int to, Tag tag, std::span<const std::byte> data) {
  return transmit(to, kDataId, tag, data);
}

Result<void> UcxTransport::transmit(int to, MessageId id, Tag tag,
                                    std::span<const std::byte> data) {
  HEARTH_RETURN_IF_ERROR(aborted());
  Peer& peer = peers_[to];
  if (peer.gone) return *peer.gone;
  const bool eager =
      data.empty() || (data.size() <= kEagerBytesMax && peer.eager_bytes < kEagerWindowBytes);
  peer.eager_bytes = eager ? peer.eager_bytes + cost(data.size()) : 0;
  peer.header = Header{peer.send_seal, static_cast<uint32_t>(rank_), tag};
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_MEMORY_TYPE;
  param.flags = eager ? UCP_AM_SEND_FLAG_EAGER : UCP_AM_SEND_FLAG_RNDV;
  param.memory_type = UCS_MEMORY_TYPE_HOST;
  void* request = ucx_.ucp_am_send_nbx(peer.endpoint, id, &peer.header, sizeof(Header), data.data(),
                                       data.size(), &param);
  HEARTH_TRY(const ucs_status_t status, finish(request));
  if (status == UCS_OK) return {};
  peer.lose(text(status));
  return *peer.gone;
}

Result<size_t> UcxTransport::recv(int from, Tag tag, Destination into) {
  HEARTH_RETURN_IF_ERROR(aborted());
  Peer& peer = peers_[from];
  if (const Position found = find(&peer, tag); found != peer.arrivals.end()) {
    return take(&peer, found, into);
  }
  posted_ = Posted{.peer = from, .tag = tag, .into = into};
  // Full with a message that still lies with its sender: nothing else will come before that is
  // taken.
  const auto stuck = [&] {
    return peer.full() && !peer.arrivals.empty() && peer.arrivals.back().descriptor != nullptr;
  };
  Position found = peer.arrivals.end();
  const Result<void> driven = drive([&] {
    found = find(&peer, tag);
    return posted_->result || found != peer.arrivals.end() || peer.gone || stuck();
  });
  const Posted posted = *std::exchange(posted_, std::nullopt);
  if (posted.result) return *posted.result;
  HEARTH_RETURN_IF_ERROR(driven);
  if (found != peer.arrivals.end()) return take(&peer, found, into);
  if (peer.gone) return *peer.gone;
  return Error(
      Code::kResourceExhausted,
      fmt::format("rank {} sent more than {} bytes that nobody received, before the message "
                  "expected now",
                  from, kUnclaimedBytesMax));
}

void UcxTransport::abort(const std::string& reason) {
  std::lock_guard lock(mutex_);
  if (aborted_) return;
  reason_ = reason;
  aborted_ = true;
  alarm_.ring();
}

Result<void> UcxTransport::aborted() const {
  if (!aborted_.load(std::memory_order_relaxed)) return {};
  std::lock_guard lock(mutex_);
  return Error(Code::kUnavailable, reason_);
}

void UcxTransport::on_error(void* peer, ucp_ep_h, ucs_status_t status) {
  static_cast<Peer*>(peer)->lose(ucx()->ucs_status_string(status));
}

Peer* UcxTransport::sender(const void* data, size_t bytes, Tag* tag) {
  Header header;
  if (bytes != sizeof header) return nullptr;
  std::memcpy(&header, data, sizeof header);
  *tag = header.tag;
  if (header.from >= peers_.size() || static_cast<int>(header.from) == rank_) return nullptr;
  Peer& peer = peers_[header.from];
  return header.seal == peer.recv_seal ? &peer : nullptr;
}

ucs_status_t UcxTransport::on_hello(void* self, const void* header, size_t header_bytes, void*,
                                    size_t, const ucp_am_recv_param_t*) {
  Tag tag;
  Peer* peer = static_cast<UcxTransport*>(self)->sender(header, header_bytes, &tag);
  if (peer != nullptr) peer->hellos = std::max(peer->hellos, tag);
  return UCS_OK;
}

ucs_status_t UcxTransport::on_message(void* self, const void* header, size_t header_bytes,
                                      void* data, size_t bytes, const ucp_am_recv_param_t* param) {
  auto& transport = *static_cast<UcxTransport*>(self);
  Tag tag;
  Peer* peer = transport.sender(header, header_bytes, &tag);
  if (peer == nullptr) return UCS_OK;
  if (bytes > static_cast<size_t>(limits::kFrameBytesMax)) {
    peer->lose(fmt::format("sent a message of {} bytes", bytes));
    return UCS_OK;
  }
  const bool at_sender = (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0;
  return transport.arrive(peer, tag, data, bytes, at_sender);
}

ucs_status_t UcxTransport::arrive(Peer* peer, Tag tag, void* data, size_t bytes, bool at_sender) {
  if (at_sender) {
    peer->arrivals.push_back({.tag = tag, .bytes = bytes, .descriptor = data});
    ++at_senders_;
    return UCS_INPROGRESS;  // `data` is kept until pulled
  }
  if (posted_ && !posted_->result && posted_->peer == peer->rank && posted_->tag == tag &&
      find(peer, tag) == peer->arrivals.end()) {
    const Result<std::byte*> to = posted_->into.reserve(bytes);
    if (to.ok() && bytes > 0) std::memcpy(*to, data, bytes);
    posted_->result = to.ok() ? Result<size_t>(bytes) : to.error();
    return UCS_OK;
  }
  Result<Message> message = Message::of_size(bytes);
  if (!message.ok() || peer->kept_bytes > kUnclaimedBytesMax + 2 * kEagerWindowBytes) {
    peer->lose(message.ok() ? "sent far more than was received" : message.error().message());
    return UCS_OK;
  }
  if (bytes > 0) std::memcpy(message->data.get(), data, bytes);
  peer->kept_bytes += cost(bytes);
  peer->arrivals.push_back({.tag = tag, .bytes = bytes, .message = std::move(*message)});
  return UCS_OK;
}

UcxTransport::Position UcxTransport::find(Peer* peer, Tag tag) const {
  return std::find_if(peer->arrivals.begin(), peer->arrivals.end(),
                      [&](const Arrival& arrival) { return arrival.tag == tag; });
}

Result<size_t> UcxTransport::take(Peer* peer, Position arrival, const Destination& into) {
  if (arrival->descriptor != nullptr) return take_from_sender(peer, arrival, into);
  HEARTH_TRY(const ucs_status_t status, finish(std::exchange(arrival->pull, nullptr)));
  const Result<size_t> result =
      status == UCS_OK ? arrival->message.copy_to(into) : Error(Code::kUnavailable, text(status));
  peer->kept_bytes -= cost(arrival->bytes);
  peer->arrivals.erase(arrival);
  return result;
}

Result<size_t> UcxTransport::take_from_sender(Peer* peer, Position arrival,
                                              const Destination& into) {
  const size_t bytes = arrival->bytes;
  const Result<std::byte*> to = into.reserve(bytes);
  Message scrap;  // a message that does not fit is pulled as well: its sender waits for that
  if (!to.ok()) {
    HEARTH_TRY(scrap, Message::of_size(bytes));
  }
  void* request = pull(&*arrival, to.ok() ? *to : scrap.data.get());
  peer->arrivals.erase(arrival);
  HEARTH_TRY(const ucs_status_t status, finish(request));
  if (status != UCS_OK) {
    peer->lose(text(status));
    return *peer->gone;
  }
  if (!to.ok()) return to.error();
  return size_t{bytes};
}

void* UcxTransport::pull(Arrival* arrival, std::byte* to) {
  --at_senders_;
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_MEMORY_TYPE;
  param.memory_type = UCS_MEMORY_TYPE_HOST;
  return ucx_.ucp_am_recv_data_nbx(worker_->handle(), std::exchange(arrival->descriptor, nullptr),
                                   to, arrival->bytes, &param);
}

void UcxTransport::pull_all() {
  if (at_senders_ == 0) return;
  for (Peer& peer : peers_) {
    for (Arrival& arrival : peer.arrivals) {
      if (peer.full()) break;
      if (arrival.descriptor == nullptr) continue;
      Result<Message> message = Message::of_size(arrival.bytes);
      if (!message.ok()) continue;  // it waits where it is
      arrival.message = std::move(*message);
      peer.kept_bytes += cost(arrival.bytes);
      arrival.pull = pull(&arrival, arrival.message.data.get());
    }
  }
}

template <class Done>
Result<void> UcxTransport::drive(Done done, Clock::time_point deadline) {
  patience_.renew();
  while (!done()) {
    if (aborted_.load(std::memory_order_relaxed)) {
      close_all();
      return aborted();
    }
    pull_all();
    if (worker_->progress()) {
      patience_.renew();
    } else if (!patience_.spin()) {
      const auto now = Clock::now();
      if (now >= deadline) return Error(Code::kDeadlineExceeded, "not in time");
      const auto left = std::min<Clock::duration>(deadline - now, 1h);
      const auto left_ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
      worker_->sleep(alarm_, static_cast<int>(left_ms));
      patience_.renew();
    }
  }
  return {};
}

Result<ucs_status_t> UcxTransport::finish(void* request) {
  if (!UCS_PTR_IS_PTR(request)) return UCS_PTR_RAW_STATUS(request);
  const Result<void> driven = drive([&] { return !running(request); });
  const ucs_status_t status = ucx_.ucp_request_check_status(request);
  ucx_.ucp_request_free(request);
  if (!driven.ok()) return driven.error();
  return status;
}

void UcxTransport::flush_all() {
  const auto deadline = Clock::now() + kDeliverWithin;
  for (Peer& peer : peers_) {
    if (peer.endpoint == nullptr || peer.gone) continue;
    ucp_request_param_t param{};
    void* request = ucx_.ucp_ep_flush_nbx(peer.endpoint, &param);
    static_cast<void>(drive([&] { return !running(request); }, deadline));
    if (UCS_PTR_IS_PTR(request)) ucx_.ucp_request_free(request);
  }
}

// Ends every request too, so that UCX no longer uses the memory of whoever called.
void UcxTransport::close_all() {
  std::vector<void*> requests;
  for (Peer& peer : peers_) {
    for (Arrival& arrival : peer.arrivals) {
      void* descriptor = std::exchange(arrival.descriptor, nullptr);
      if (descriptor != nullptr) ucx_.ucp_am_data_release(worker_->handle(), descriptor);
      requests.push_back(std::exchange(arrival.pull, nullptr));
    }
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = UCP_EP_CLOSE_FLAG_FORCE;
    if (peer.endpoint != nullptr) {
      requests.push_back(ucx_.ucp_ep_close_nbx(std::exchange(peer.endpoint, nullptr), &param));
    }
  }
  at_senders_ = 0;
  const auto deadline = Clock::now() + kCloseWithin;
  for (void* request : requests) {
    while (running(request) && Clock::now() < deadline) worker_->progress();
    if (UCS_PTR_IS_PTR(request)) ucx_.ucp_request_free(request);
  }
}

}  // namespace

bool has_ucx() { return true; }

Result<std::unique_ptr<Transport>> make_ucx_transport(UcxReach reach) {
  const Result<Ucx>& library = ucx();
  if (!library.ok()) return library.error();
  HEARTH_TRY(Alarm alarm, Alarm::make());
  return std::unique_ptr<Transport>(
      std::make_unique<UcxTransport>(*library, reach, std::move(alarm)));
}

}  // namespace hearth::fabric
