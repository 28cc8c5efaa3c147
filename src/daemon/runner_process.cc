#include "daemon/runner_process.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "daemon/convert.h"
#include "daemon/runner/child_process.h"
#include "proto/runner.grpc.pb.h"

namespace hearth::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kSocketPoll(10);
constexpr int kExitNoticeMs = 1000;     // a dead process is reaped sooner than this
constexpr int kGoodbyeTimeoutMs = 500;  // a runner that does not leave by then is killed

// A folder that only this user can enter, for the runner's socket. Removed when destroyed, which is
// as soon as the runner was reached: a process that is killed leaves nothing behind.
class SocketFolder {
 public:
  static Result<std::unique_ptr<SocketFolder>> make() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    std::string refusal;
    for (const std::string& base :
         {std::string(runtime == nullptr ? "" : runtime), std::string("/tmp")}) {
      std::string path = base + "/hearth-XXXXXX";
      if (base.empty() || path.size() + sizeof(kName) > sizeof(sockaddr_un::sun_path)) continue;
      if (mkdtemp(path.data()) != nullptr) return std::make_unique<SocketFolder>(path);
      refusal = path + ": " + std::strerror(errno);
    }
    return Error(Code::kInternal, "making a folder for the runner's socket: " + refusal);
  }
  explicit SocketFolder(std::string path) : path_(std::move(path)) {}
  ~SocketFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string socket() const { return path_ + kName; }

 private:
  static constexpr char kName[] = "/runner.sock";
  const std::string path_;
};

bool answers(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const bool connected =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(socket);
  return connected;
}

// The running binary: by its path, which process lists show, unless it was replaced since.
std::string this_program() {
  constexpr char kSelf[] = "/proc/self/exe";
  std::error_code failed;
  const std::string path = std::filesystem::read_symlink(kSelf, failed);
  return !failed && std::filesystem::exists(path, failed) ? path : kSelf;
}

proto::Quantize to_proto(engine::Quantize quantize) {
  switch (quantize) {
    case engine::Quantize::kQ8:
      return proto::QUANTIZE_Q8;
    case engine::Quantize::kQ4:
      return proto::QUANTIZE_Q4;
    case engine::Quantize::kNone:
      break;
  }
  return proto::QUANTIZE_NONE;
}

proto::KvType to_proto(engine::KvType kv) {
  switch (kv) {
    case engine::KvType::kBF16:
      return proto::KV_TYPE_BF16;
    case engine::KvType::kQ8:
      return proto::KV_TYPE_Q8;
    case engine::KvType::kF32:
      return proto::KV_TYPE_F32;
    case engine::KvType::kQ16:
      break;
  }
  return proto::KV_TYPE_Q16;
}

proto::WirePrecision to_proto(fabric::WirePrecision wire) {
  switch (wire) {
    case fabric::WirePrecision::kBf16:
      return proto::WIRE_PRECISION_BF16;
    case fabric::WirePrecision::kQ8:
      return proto::WIRE_PRECISION_Q8;
    case fabric::WirePrecision::kF32:
      break;
  }
  return proto::WIRE_PRECISION_F32;
}

proto::LoadRequest to_proto(const RankLoad& load) {
  proto::LoadRequest request;
  request.set_instance_id(load.instance.str());
  request.set_model_name(load.model_name);
  request.set_model_path(load.model_path);
  request.set_layer_begin(load.shard.layer_begin);
  request.set_layer_end(load.shard.layer_end);
  request.set_slice(load.shard.slice);
  for (const double share : load.shard.shares) request.add_shares(share);
  request.set_threads(load.threads);
  request.set_exact(load.precision == engine::Precision::kExact);
  request.set_quantize(to_proto(load.quantize));
  request.set_kv(to_proto(load.kv));
  request.set_kv_tokens(load.kv_tokens);
  request.set_sequences_max(load.sequences_max);
  request.set_bind_host(load.bind_host);
  return request;
}

engine::LayerTimes layer_times_of(const proto::LayerTimes& times) {
  return {.steps = times.steps(),
          .layer_begin = times.layer_begin(),
          .layers = {times.layers().begin(), times.layers().end()},
          .embedding = times.embedding(),
          .head = times.head()};
}

class RunnerProcessImpl final : public RunnerProcess {
 public:
  RunnerProcessImpl(SpawnOptions options, std::unique_ptr<SocketFolder> folder)
      : options_(std::move(options)), folder_(std::move(folder)) {}

  ~RunnerProcessImpl() override {
    {
      std::lock_guard lock(callback_mutex_);
      closing_ = true;
    }
    if (stub_ != nullptr) say_goodbye();
    if (child_ != nullptr) child_->kill();
    watch_context_.TryCancel();
    if (watch_thread_.joinable()) watch_thread_.join();
    child_.reset();
  }

  Result<void> start() {
    const std::string program = options_.program.empty() ? this_program() : options_.program;
    std::vector<std::string> command = options_.launcher;
    command.insert(command.end(), {program, "runner", "--socket", folder_->socket()});
    HEARTH_TRY(child_, ChildProcess::start({.command = std::move(command),
                                            .on_line =
                                                [this](std::string_view line) {
                                                  log::warn("[{}] {}", options_.name, line);
                                                },
                                            .on_exit =
                                                [this](const std::string& how) {
                                                  tell(options_.on_exit,
                                                       Error(Code::kUnavailable, described(how)));
                                                }}));
    HEARTH_RETURN_IF_ERROR(wait_for_socket());
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(static_cast<int>(limits::kRpcMessageBytesMax));
    channel_ = grpc::CreateCustomChannel("unix:" + folder_->socket(),
                                         grpc::InsecureChannelCredentials(), arguments);
    const auto deadline =
        std::chrono::system_clock::now() + milliseconds(options_.start_timeout_ms);
    if (!channel_->WaitForConnected(deadline)) {
      return Error(Code::kUnavailable, "runner " + options_.name + " does not speak gRPC");
    }
    stub_ = proto::Runner::NewStub(channel_);
    watch_thread_ = std::thread([this] { watch(); });  // keeps the channel from going idle
    folder_.reset();
    return {};
  }

  int pid() const override { return child_->pid(); }
  std::shared_ptr<grpc::Channel> channel() const override { return channel_; }

  Result<void> load(const RankLoad& load, const LoadProgressHandler& progress) override {
    grpc::ClientContext context;
    const auto reader = stub_->Load(&context, to_proto(load));
    proto::LoadProgress message;
    while (reader->Read(&message)) {
      if (message.has_failure()) return from_proto(message.failure());
      if (message.loaded()) return {};
      if (progress) progress(message.layers_loaded(), message.layers_total());
    }
    return why_ended(reader->Finish());
  }

  Result<int> prepare(const Seat& seat) override {
    proto::PrepareRequest request;
    request.set_epoch(seat.epoch);
    request.set_rank(seat.rank);
    request.set_world_size(seat.world_size);
    grpc::ClientContext context;
    proto::PrepareReply reply;
    const grpc::Status status = stub_->Prepare(&context, request, &reply);
    if (!status.ok()) return why_ended(status);
    if (reply.has_failure()) return from_proto(reply.failure());
    return reply.rendezvous_port();
  }

  Result<std::string> connect(const GroupConnect& connect, std::stop_token stop) override {
    proto::ConnectRequest request;
    for (const std::string& address : connect.addresses) request.add_addresses(address);
    request.set_token(connect.token);
    request.set_transport(connect.transport);
    request.set_wire(to_proto(connect.team.wire));
    grpc::ClientContext context;
    const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    proto::ConnectReply reply;
    const grpc::Status status = stub_->Connect(&context, request, &reply);
    if (stop.stop_requested()) return Error(Code::kCancelled, "stopped while connecting");
    if (!status.ok()) return why_ended(status);
    if (reply.has_failure()) return from_proto(reply.failure());
    return reply.carriers();
  }

  void kill() override { child_->kill(); }

  Result<void> status() const override {
    const auto ended = child_->ended();
    if (!ended) return {};
    return Error(Code::kUnavailable, described(*ended));
  }

 private:
  std::string described(const std::string& how) const {
    return "runner " + options_.name + " " + how;
  }

  Result<void> wait_for_socket() {
    const auto deadline = steady_clock::now() + milliseconds(options_.start_timeout_ms);
    while (!answers(folder_->socket())) {
      HEARTH_RETURN_IF_ERROR(status());
      if (steady_clock::now() > deadline) {
        return Error(Code::kUnavailable, "runner " + options_.name + " did not answer within " +
                                             std::to_string(options_.start_timeout_ms) + " ms");
      }
      std::this_thread::sleep_for(kSocketPoll);
    }
    return {};
  }

  // An RPC broke: because the process died, mostly.
  Error why_ended(const grpc::Status& status) {
    child_->wait_for_exit(kExitNoticeMs);
    if (auto alive = this->status(); !alive.ok()) return alive.error();
    return Error(Code::kUnavailable,
                 "runner " + options_.name + ": " +
                     (status.ok() ? "the call ended before its end" : status.error_message()));
  }

  void watch() {
    const auto reader = stub_->Watch(&watch_context_, proto::WatchRequest());
    proto::WatchEvent event;
    while (reader->Read(&event)) {
      if (event.has_layer_times())
        tell(options_.on_layer_times, layer_times_of(event.layer_times()));
      if (!event.has_failure()) continue;
      tell(options_.on_group_failure, event.epoch(), from_proto(event.failure()));
    }
    reader->Finish();
  }

  template <class Callback, class... News>
  void tell(const Callback& callback, News... news) {
    {
      std::lock_guard lock(callback_mutex_);
      if (closing_) return;
    }
    if (callback) callback(std::move(news)...);
  }

  // An orderly end lets the other ranks know at once.
  void say_goodbye() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + milliseconds(kGoodbyeTimeoutMs));
    proto::ShutdownReply reply;
    if (stub_->Shutdown(&context, proto::ShutdownRequest(), &reply).ok()) {
      child_->wait_for_exit(kGoodbyeTimeoutMs);
    }
  }

  const SpawnOptions options_;
  std::unique_ptr<SocketFolder> folder_;
  std::unique_ptr<ChildProcess> child_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<proto::Runner::Stub> stub_;
  grpc::ClientContext watch_context_;
  std::mutex callback_mutex_;
  bool closing_ = false;  // no callbacks any more
  std::thread watch_thread_;
};

}  // namespace

Result<std::unique_ptr<RunnerProcess>> RunnerProcess::spawn(SpawnOptions options) {
  HEARTH_TRY(auto folder, SocketFolder::make());
  auto runner = std::make_unique<RunnerProcessImpl>(std::move(options), std::move(folder));
  HEARTH_RETURN_IF_ERROR(runner->start());
  return std::unique_ptr<RunnerProcess>(std::move(runner));
}

}  // namespace hearth::daemon
