#include "daemon/runner/service.h"

#include <chrono>
#include <utility>

#include "daemon/convert.h"
#include "daemon/remote_generator.h"

namespace hearth::daemon {
namespace {

engine::Quantize from_proto(proto::Quantize quantize) {
  switch (quantize) {
    case proto::QUANTIZE_Q8:
      return engine::Quantize::kQ8;
    case proto::QUANTIZE_Q4:
      return engine::Quantize::kQ4;
    default:
      return engine::Quantize::kNone;
  }
}

engine::KvType from_proto(proto::KvType kv) {
  switch (kv) {
    case proto::KV_TYPE_BF16:
      return engine::KvType::kBF16;
    case proto::KV_TYPE_Q8:
      return engine::KvType::kQ8;
    case proto::KV_TYPE_F32:
      return engine::KvType::kF32;
    default:
      return engine::KvType::kQ16;
  }
}

fabric::WirePrecision from_proto(proto::WirePrecision wire) {
  switch (wire) {
    case proto::WIRE_PRECISION_BF16:
      return fabric::WirePrecision::kBf16;
    case proto::WIRE_PRECISION_Q8:
      return fabric::WirePrecision::kQ8;
    default:
      return fabric::WirePrecision::kF32;
  }
}

RankLoad from_proto(const proto::LoadRequest& request) {
  return {.instance = InstanceId(request.instance_id()),
          .model_name = request.model_name(),
          .model_path = request.model_path(),
          .shard = {.layer_begin = request.layer_begin(),
                    .layer_end = request.layer_end(),
                    .slice = request.slice(),
                    .shares = {request.shares().begin(), request.shares().end()}},
          .threads = request.threads(),
          .precision = request.exact() ? engine::Precision::kExact : engine::Precision::kDefault,
          .quantize = from_proto(request.quantize()),
          .kv = from_proto(request.kv()),
          .kv_tokens = request.kv_tokens(),
          .sequences_max = request.sequences_max(),
          .bind_host = request.bind_host()};
}

proto::LoadProgress progress_message(int layers_done, int layers_total) {
  proto::LoadProgress message;
  message.set_layers_loaded(layers_done);
  message.set_layers_total(layers_total);
  return message;
}

proto::WatchEvent times_event(const engine::LayerTimes& times) {
  proto::WatchEvent event;
  proto::LayerTimes& message = *event.mutable_layer_times();
  message.set_steps(times.steps);
  message.set_layer_begin(times.layer_begin);
  message.mutable_layers()->Add(times.layers.begin(), times.layers.end());
  message.set_embedding(times.embedding);
  message.set_head(times.head);
  return event;
}

}  // namespace

// Stays open until the caller goes or the runner ends.
class RunnerService::WatchStream final : public EventStream<proto::WatchEvent> {
 public:
  void OnCancel() override { finish(); }
};

RunnerService::RunnerService(std::function<void()> shutdown) : shutdown_(std::move(shutdown)) {
  rank_.emplace([this](int64_t epoch, const Error& error) { group_failed(epoch, error); });
  times_.emplace([this] { return rank_->layer_times(); },
                 [this](const engine::LayerTimes& times) {
                   std::lock_guard lock(mutex_);
                   tell(times_event(times));
                 });
}

RunnerService::~RunnerService() {
  times_.reset();
  std::vector<std::future<void>> background;
  {
    std::lock_guard lock(mutex_);
    background.swap(background_);
  }
  for (const auto& work : background) work.wait();
  rank_.reset();  // its threads call group_failed
}

void RunnerService::in_background(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  std::erase_if(background_, [](const std::future<void>& earlier) {
    return earlier.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  });
  background_.push_back(std::async(std::launch::async, std::move(work)));
}

void RunnerService::group_failed(int64_t epoch, const Error& error) {
  std::lock_guard lock(mutex_);
  group_failure_.emplace();
  group_failure_->set_epoch(epoch);
  *group_failure_->mutable_failure() = to_proto(error);
  tell(*group_failure_);
}

void RunnerService::tell(const proto::WatchEvent& event) {
  for (const auto& watch : watches_) {
    if (auto stream = watch.lock()) stream->push(event);
  }
}

void RunnerService::end_watches() {
  std::lock_guard lock(mutex_);
  for (const auto& watch : watches_) {
    if (auto stream = watch.lock()) stream->finish();
  }
}

grpc::ServerWriteReactor<proto::LoadProgress>* RunnerService::Load(
    grpc::CallbackServerContext*, const proto::LoadRequest* request) {
  auto stream = std::make_shared<EventStream<proto::LoadProgress>>();
  in_background([this, stream, load = from_proto(*request)] {
    const auto loaded = rank_->load(
        load, [&](int done, int total) { stream->push(progress_message(done, total)); });
    proto::LoadProgress last;
    if (loaded.ok()) {
      const int layers = load.shard.layers();
      last = progress_message(layers, layers);
      last.set_loaded(true);
    } else {
      *last.mutable_failure() = to_proto(loaded.error());
    }
    stream->push(std::move(last));
    stream->finish();
  });
  return EventStream<proto::LoadProgress>::hold(std::move(stream));
}

grpc::ServerUnaryReactor* RunnerService::Prepare(grpc::CallbackServerContext* context,
                                                 const proto::PrepareRequest* request,
                                                 proto::PrepareReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const Seat seat{
      .epoch = request->epoch(), .rank = request->rank(), .world_size = request->world_size()};
  in_background([this, reactor, reply, seat] {
    const auto port = rank_->prepare(seat);
    if (port.ok()) {
      reply->set_rendezvous_port(*port);
    } else {
      *reply->mutable_failure() = to_proto(port.error());
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* RunnerService::Connect(grpc::CallbackServerContext* context,
                                                 const proto::ConnectRequest* request,
                                                 proto::ConnectReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  GroupConnect connect{.addresses = {request->addresses().begin(), request->addresses().end()},
                       .token = request->token(),
                       .transport = request->transport(),
                       .team = {.wire = from_proto(request->wire())}};
  in_background([this, reactor, reply, connect = std::move(connect)] {
    const auto carriers = rank_->connect(connect);
    if (carriers.ok()) {
      reply->set_carriers(*carriers);
    } else {
      *reply->mutable_failure() = to_proto(carriers.error());
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerWriteReactor<proto::GenerateEvent>* RunnerService::Generate(
    grpc::CallbackServerContext*, const proto::GenerateRequest* request) {
  return serve_generate(rank_->generator(), *request);
}

grpc::ServerWriteReactor<proto::WatchEvent>* RunnerService::Watch(grpc::CallbackServerContext*,
                                                                  const proto::WatchRequest*) {
  auto stream = std::make_shared<WatchStream>();
  std::lock_guard lock(mutex_);
  std::erase_if(watches_, [](const auto& watch) { return watch.expired(); });
  watches_.push_back(stream);
  if (group_failure_) stream->push(*group_failure_);
  return WatchStream::hold(std::move(stream));
}

grpc::ServerUnaryReactor* RunnerService::Shutdown(grpc::CallbackServerContext* context,
                                                  const proto::ShutdownRequest*,
                                                  proto::ShutdownReply*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  shutdown_();
  return reactor;
}

}  // namespace hearth::daemon
