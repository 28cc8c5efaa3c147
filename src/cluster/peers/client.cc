#include "cluster/peers/client.h"

#include <fmt/format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>

#include "base/limits.h"
#include "cluster/peers/credentials.h"
#include "cluster/peers/wire.h"
#include "proto/cluster.grpc.pb.h"

namespace hearth::cluster {
namespace {

constexpr Duration kHelloTimeout = std::chrono::seconds(3);
constexpr Duration kSyncTimeout = std::chrono::seconds(4);
constexpr Duration kGoodbyeTimeout = std::chrono::milliseconds(500);

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(limits::kRpcMessageBytesMax);
  arguments.SetMaxSendMessageSize(limits::kRpcMessageBytesMax);
  // A channel of its own for each link, so that no other link's pin speaks for it.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // how long one attempt may take
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Ends the streams of further services when a device dies in silence.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  return arguments;
}

// gRPC's target for "host:port": through its resolver, which takes names and both kinds of
// addresses.
std::string target_of(const std::string& address) {
  std::string target = "dns:///";
  for (const char c : address) {
    if (c == '%') {
      target += "%25";
    } else {
      target += c;
    }
  }
  return target;
}

event::Answered::Outcome outcome_of(const grpc::Status& status) {
  using Outcome = event::Answered::Outcome;
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::PERMISSION_DENIED:
      return Outcome::kOk;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Outcome::kTimeout;
    default:
      return Outcome::kUnreachable;
  }
}

// gRPC wraps the reason in several layers; the innermost says it: "Connection refused".
std::string reason_of(const grpc::Status& status) {
  const std::string message = status.error_message();
  const size_t last = message.rfind(": ");
  return last == std::string::npos ? message : message.substr(last + 2);
}

Reply reply_of(const proto::HelloReply& reply) { return from_proto(reply); }
Reply reply_of(const proto::SyncReply& reply) { return from_proto(reply); }
Reply reply_of(const proto::GoodbyeReply&) { return GoodbyeReply{}; }

}  // namespace

struct PeerClient::Link {
  std::shared_ptr<Pin> pin = std::make_shared<Pin>();
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<proto::ClusterPeer::Stub> stub;
  bool connected = false;  // as take_lost() saw it last
};

// One call under way; keeps everything it needs alive.
template <class RequestMessage, class ReplyMessage>
struct PeerClient::Pending {
  grpc::ClientContext context;
  RequestMessage request;
  ReplyMessage reply;
  std::shared_ptr<Link> link;
};

PeerClient::PeerClient(Identity identity, std::function<void(event::Answered)> sink)
    : identity_(std::move(identity)), sink_(std::move(sink)) {}

PeerClient::~PeerClient() {
  std::unique_lock lock(mutex_);
  closing_ = true;
  const auto calls = calls_;
  lock.unlock();  // gRPC may run callbacks while it cancels
  for (const auto& context : calls) context->TryCancel();
  lock.lock();
  idle_.wait(lock, [this] { return calls_.empty(); });
}

std::shared_ptr<PeerClient::Link> PeerClient::link_to(const std::string& address) {
  std::shared_ptr<Link>& link = links_[address];
  if (link == nullptr) {
    link = std::make_shared<Link>();
    link->channel = grpc::CreateCustomChannel(
        target_of(address), channel_credentials(identity_, link->pin), channel_arguments());
    link->stub = proto::ClusterPeer::NewStub(link->channel);
  }
  return link;
}

template <class RequestMessage, class ReplyMessage, class Method>
void PeerClient::invoke(const Call& call, Duration timeout, RequestMessage request, Method method) {
  auto pending = std::make_shared<Pending<RequestMessage, ReplyMessage>>();
  pending->request = std::move(request);
  pending->context.set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::system_clock::duration>(timeout));
  {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    pending->link = link_to(call.address);
    calls_.emplace(pending, &pending->context);
  }
  std::function<void(grpc::Status)> done = [this, pending, id = call.id](grpc::Status status) {
    event::Answered answered{.call = id,
                             .outcome = outcome_of(status),
                             .from = pending->link->pin->id(),
                             .error = reason_of(status)};
    if (status.ok()) answered.reply = reply_of(pending->reply);
    sink_(std::move(answered));
    std::lock_guard lock(mutex_);
    calls_.erase(std::shared_ptr<grpc::ClientContext>(pending, &pending->context));
    if (calls_.empty()) idle_.notify_all();
  };
  method(pending->link->stub->async(), &pending->context, &pending->request, &pending->reply,
         std::move(done));
}

void PeerClient::start(const Call& call) {
  if (const auto* hello = std::get_if<HelloRequest>(&call.request)) {
    invoke<proto::HelloRequest, proto::HelloReply>(
        call, kHelloTimeout, to_proto(*hello),
        [](auto* stub, auto... arguments) { stub->Hello(std::move(arguments)...); });
  } else if (const auto* sync = std::get_if<SyncRequest>(&call.request)) {
    invoke<proto::SyncRequest, proto::SyncReply>(
        call, kSyncTimeout, to_proto(*sync),
        [](auto* stub, auto... arguments) { stub->Sync(std::move(arguments)...); });
  } else {
    invoke<proto::GoodbyeRequest, proto::GoodbyeReply>(
        call, kGoodbyeTimeout, {},
        [](auto* stub, auto... arguments) { stub->Goodbye(std::move(arguments)...); });
  }
}

void PeerClient::close(const std::string& address) {
  std::shared_ptr<Link> link;  // destroyed outside the lock
  std::lock_guard lock(mutex_);
  const auto found = links_.find(address);
  if (found == links_.end()) return;
  link = std::move(found->second);
  links_.erase(found);
}

std::vector<std::string> PeerClient::take_lost() {
  std::vector<std::string> lost;
  std::lock_guard lock(mutex_);
  for (auto& [address, link] : links_) {
    const bool connected = link->channel->GetState(false) == GRPC_CHANNEL_READY;
    if (std::exchange(link->connected, connected) && !connected) lost.push_back(address);
  }
  return lost;
}

void PeerClient::drain(Duration timeout) {
  std::unique_lock lock(mutex_);
  idle_.wait_for(lock, timeout, [this] { return calls_.empty(); });
}

std::shared_ptr<grpc::Channel> PeerClient::channel(const std::string& address,
                                                   const DeviceId& id) const {
  std::lock_guard lock(mutex_);
  const auto found = links_.find(address);
  if (found == links_.end() || found->second->pin->id() != id) return nullptr;
  return found->second->channel;
}

}  // namespace hearth::cluster
