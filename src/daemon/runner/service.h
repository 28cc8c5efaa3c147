// proto/runner.proto, served.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "daemon/runner/event_stream.h"
#include "daemon/runner/layer_times_watch.h"
#include "daemon/runner/rank.h"
#include "proto/runner.grpc.pb.h"

namespace hearth::daemon {

// Thread-safe. REQUIRES: the server is shut down before destruction.
class RunnerService final : public proto::Runner::CallbackService {
 public:
  // `shutdown` is called when a caller asked for it; must not block.
  explicit RunnerService(std::function<void()> shutdown);
  ~RunnerService() override;

  // Ends the streams that would go on as long as the runner lives.
  void end_watches();

  grpc::ServerWriteReactor<proto::LoadProgress>* Load(grpc::CallbackServerContext* context,
                                                      const proto::LoadRequest* request) override;
  grpc::ServerUnaryReactor* Prepare(grpc::CallbackServerContext* context,
                                    const proto::PrepareRequest* request,
                                    proto::PrepareReply* reply) override;
  grpc::ServerUnaryReactor* Connect(grpc::CallbackServerContext* context,
                                    const proto::ConnectRequest* request,
                                    proto::ConnectReply* reply) override;
  grpc::ServerWriteReactor<proto::GenerateEvent>* Generate(
      grpc::CallbackServerContext* context, const proto::GenerateRequest* request) override;
  grpc::ServerWriteReactor<proto::WatchEvent>* Watch(grpc::CallbackServerContext* context,
                                                     const proto::WatchRequest* request) override;
  grpc::ServerUnaryReactor* Shutdown(grpc::CallbackServerContext* context,
                                     const proto::ShutdownRequest* request,
                                     proto::ShutdownReply* reply) override;

 private:
  class WatchStream;

  void group_failed(int64_t epoch, const Error& error);
  // To all that watch. REQUIRES: mutex_ is held.
  void tell(const proto::WatchEvent& event);
  // Blocking work must not hold up gRPC's threads.
  void in_background(std::function<void()> work);

  const std::function<void()> shutdown_;
  std::mutex mutex_;
  std::vector<std::future<void>> background_;
  std::vector<std::weak_ptr<WatchStream>> watches_;
  std::optional<proto::WatchEvent> group_failure_;  // the last
  std::optional<Rank> rank_;
  std::optional<LayerTimesWatch> times_;  // of rank_, so it goes first
};

}  // namespace hearth::daemon
