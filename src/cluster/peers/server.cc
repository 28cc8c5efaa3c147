#include "cluster/peers/server.h"

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <map>
#include <mutex>

#include "base/host_port.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/peer_auth.h"
#include "cluster/peers/credentials.h"
#include "cluster/peers/wire.h"
#include "proto/cluster.grpc.pb.h"

namespace hearth::cluster {
namespace {

constexpr size_t kCallsMax = 1024;  // waiting for the core
// Further services may hold a thread for each stream.
constexpr int kThreadsMax = limits::kQueuedRequestsMax + 2 * limits::kSequencesMax;
constexpr auto kStopGrace = std::chrono::milliseconds(300);

// gRPC tells of every failed connection on stderr; here that is every device that is switched off.
void quiet_grpc() {
  static const bool once = [] {
    gpr_set_log_function([](gpr_log_func_args* line) { log::debug("grpc: {}", line->message); });
    return true;
  }();
  (void)once;
}

class ServerImpl final : public PeerServer, private proto::ClusterPeer::CallbackService {
 public:
  explicit ServerImpl(Options options) : options_(std::move(options)) {}
  ~ServerImpl() override { stop(); }

  Result<void> listen() {
    quiet_grpc();
    grpc::ServerBuilder builder;
    const std::string address = join_host_port(options_.listen, options_.port);
    const auto admit = [this](std::string_view method, const DeviceId& caller) {
      return method == "/hearth.proto.ClusterPeer/Hello" || options_.is_member(caller);
    };
    builder.AddListeningPort(address, server_credentials(options_.identity, admit), &port_);
    builder.RegisterService(static_cast<proto::ClusterPeer::CallbackService*>(this));
    for (grpc::Service* service : options_.services) builder.RegisterService(service);
    grpc::ResourceQuota quota("hearth");
    quota.SetMaxThreads(kThreadsMax);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(limits::kRpcMessageBytesMax);
    builder.SetMaxSendMessageSize(limits::kRpcMessageBytesMax);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 5000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    server_ = builder.BuildAndStart();
    if (server_ != nullptr && port_ != 0) return {};
    return Error(
        Code::kAlreadyExists,
        fmt::format("the device port {} cannot be opened: another program, perhaps another "
                    "hearth, uses it; choose another",
                    address));
  }

  int port() const override { return port_; }

  void answer(const Answer& answer) override {
    std::unique_lock lock(mutex_);
    const auto found = waiting_.find(answer.call);
    if (found == waiting_.end()) return;
    const Waiting waiting = found->second;
    waiting_.erase(found);
    lock.unlock();
    waiting.reactor->Finish(fill(waiting, answer.reply));
  }

  void stop() override {
    std::map<uint64_t, Waiting> waiting;
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
      waiting.swap(waiting_);
    }
    for (const auto& [id, call] : waiting) {
      call.reactor->Finish({grpc::StatusCode::UNAVAILABLE, "this device stops"});
    }
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
    server_.reset();
  }

 private:
  struct Waiting {
    grpc::ServerUnaryReactor* reactor = nullptr;
    std::variant<proto::HelloReply*, proto::SyncReply*, proto::GoodbyeReply*> reply;
  };

  static grpc::Status fill(const Waiting& waiting, const Reply& reply) {
    if (std::holds_alternative<NotMember>(reply)) {
      return {grpc::StatusCode::PERMISSION_DENIED, "not a member of this cluster: say hello first"};
    }
    if (const auto* hello = std::get_if<HelloReply>(&reply)) {
      *std::get<proto::HelloReply*>(waiting.reply) = to_proto(*hello);
    } else if (const auto* sync = std::get_if<SyncReply>(&reply)) {
      *std::get<proto::SyncReply*>(waiting.reply) = to_proto(*sync);
    }
    return grpc::Status::OK;
  }

  template <class ReplyMessage>
  grpc::ServerUnaryReactor* take(grpc::CallbackServerContext* context, Request request,
                                 ReplyMessage* reply) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const Result<DeviceId> from = peer_of(*context);
    if (!from) {
      reactor->Finish({grpc::StatusCode::UNAUTHENTICATED, from.error().message()});
      return reactor;
    }
    uint64_t id = 0;
    {
      std::lock_guard lock(mutex_);
      if (!stopped_ && waiting_.size() < kCallsMax) {
        id = ++last_call_;
        waiting_[id] = {reactor, reply};
      }
    }
    if (id != 0 && options_.sink({id, *from, host_of_peer(context->peer()), std::move(request)})) {
      return reactor;
    }
    // Whoever takes it out of the map finishes it: that may have been stop().
    {
      std::lock_guard lock(mutex_);
      if (id != 0 && waiting_.erase(id) == 0) return reactor;
    }
    reactor->Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls, or stopping"});
    return reactor;
  }

  grpc::ServerUnaryReactor* Hello(grpc::CallbackServerContext* context,
                                  const proto::HelloRequest* request,
                                  proto::HelloReply* reply) override {
    return take(context, from_proto(*request), reply);
  }
  grpc::ServerUnaryReactor* Sync(grpc::CallbackServerContext* context,
                                 const proto::SyncRequest* request,
                                 proto::SyncReply* reply) override {
    return take(context, from_proto(*request), reply);
  }
  grpc::ServerUnaryReactor* Goodbye(grpc::CallbackServerContext* context,
                                    const proto::GoodbyeRequest*,
                                    proto::GoodbyeReply* reply) override {
    return take(context, GoodbyeRequest{}, reply);
  }

  const Options options_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::map<uint64_t, Waiting> waiting_;
  uint64_t last_call_ = 0;
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<PeerServer>> PeerServer::start(Options options) {
  auto server = std::make_unique<ServerImpl>(std::move(options));
  HEARTH_RETURN_IF_ERROR(server->listen());
  return std::unique_ptr<PeerServer>(std::move(server));
}

std::string host_of_peer(std::string_view peer) {
  const size_t kind = peer.find(':');
  const size_t port = peer.rfind(':');
  if (kind == std::string_view::npos || port == kind) return "";
  const std::string_view family = peer.substr(0, kind);
  if (family != "ipv4" && family != "ipv6") return "";
  std::string host;
  const std::string_view text = peer.substr(kind + 1, port - kind - 1);
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escape = text.substr(i, 3);
    if (escape == "%5B" || escape == "%5D" || escape == "%25") {
      host += escape == "%5B" ? '[' : escape == "%5D" ? ']' : '%';
      i += 2;
    } else {
      host += text[i];
    }
  }
  return host;
}

}  // namespace hearth::cluster
