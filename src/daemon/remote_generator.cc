#include "daemon/remote_generator.h"

#include <grpcpp/grpcpp.h>

#include <mutex>
#include <utility>

#include "daemon/convert.h"
#include "daemon/runner/event_stream.h"
#include "proto/instances.grpc.pb.h"
#include "proto/runner.grpc.pb.h"
#include "runtime/event_sink.h"

namespace hearth::daemon {
namespace {

// ---- the asking end

// One call. Owns itself until gRPC is done with it.
template <class Stub>
class RemoteCall final : public grpc::ClientReadReactor<proto::GenerateEvent> {
 public:
  RemoteCall(std::shared_ptr<Stub> stub, proto::GenerateRequest request,
             std::shared_ptr<runtime::EventSink> sink)
      : stub_(std::move(stub)), request_(std::move(request)), sink_(std::move(sink)) {}

  static std::shared_ptr<RemoteCall> start(std::shared_ptr<RemoteCall> call) {
    call->self_ = call;
    call->stub_->async()->Generate(&call->context_, &call->request_, call.get());
    call->StartRead(&call->event_);
    call->StartCall();
    return call;
  }

  void cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // the end: OnDone says which
    auto event = from_proto(event_);
    if (event.ok()) {
      sink_->deliver(std::move(event).value());
    } else {
      sink_->deliver(event.error());
    }
    this->StartRead(&event_);
  }

  void OnDone(const grpc::Status& status) override {
    sink_->deliver(Error(Code::kUnavailable, status.ok() ? "the answer ended before its end"
                                                         : "the device or process that computes "
                                                           "the answer is gone: " +
                                                               status.error_message()));
    self_.reset();
  }

 private:
  const std::shared_ptr<Stub> stub_;
  const proto::GenerateRequest request_;
  const std::shared_ptr<runtime::EventSink> sink_;
  grpc::ClientContext context_;
  proto::GenerateEvent event_;
  std::shared_ptr<RemoteCall> self_;
};

template <class Stub>
class RemoteGeneration final : public runtime::Generation {
 public:
  RemoteGeneration(std::shared_ptr<runtime::EventSink> sink, std::shared_ptr<RemoteCall<Stub>> call)
      : sink_(std::move(sink)), call_(std::move(call)) {}
  ~RemoteGeneration() override {
    sink_->leave();
    call_->cancel();
  }

 private:
  const std::shared_ptr<runtime::EventSink> sink_;
  const std::shared_ptr<RemoteCall<Stub>> call_;
};

template <class Stub>
class RemoteGenerator final : public runtime::Generator {
 public:
  RemoteGenerator(std::shared_ptr<Stub> stub, InstanceId instance)
      : stub_(std::move(stub)), instance_(std::move(instance)) {}

  std::unique_ptr<runtime::Generation> generate(runtime::GenerateRequest request,
                                                runtime::EventHandler handler) override {
    auto sink = std::make_shared<runtime::EventSink>(std::move(handler));
    auto call = RemoteCall<Stub>::start(
        std::make_shared<RemoteCall<Stub>>(stub_, to_proto(request, instance_), sink));
    return std::make_unique<RemoteGeneration<Stub>>(std::move(sink), std::move(call));
  }

 private:
  const std::shared_ptr<Stub> stub_;
  const InstanceId instance_;
};

// ---- the serving end

class GenerateStream final : public EventStream<proto::GenerateEvent> {
 public:
  void start(std::shared_ptr<runtime::Generator> generator, runtime::GenerateRequest request) {
    generator_ = std::move(generator);
    auto generation =
        generator_->generate(std::move(request), [this](runtime::GenerateEvent event) {
          const bool last = std::holds_alternative<runtime::Finished>(event) ||
                            std::holds_alternative<Error>(event);
          push(to_proto(event));
          if (last) finish();
        });
    std::lock_guard lock(generation_mutex_);
    if (!cancelled_) generation_ = std::move(generation);
  }

  void OnCancel() override {
    std::unique_ptr<runtime::Generation> generation;
    {
      std::lock_guard lock(generation_mutex_);
      cancelled_ = true;
      generation = std::move(generation_);
    }
    generation.reset();
    finish();
  }

 private:
  std::shared_ptr<runtime::Generator> generator_;
  std::mutex generation_mutex_;
  bool cancelled_ = false;
  std::unique_ptr<runtime::Generation> generation_;  // ends before what its handler uses
};

}  // namespace

std::shared_ptr<runtime::Generator> runner_generator(std::shared_ptr<grpc::Channel> channel) {
  using Stub = proto::Runner::Stub;
  return std::make_shared<RemoteGenerator<Stub>>(proto::Runner::NewStub(channel), InstanceId());
}

std::shared_ptr<runtime::Generator> device_generator(std::shared_ptr<grpc::Channel> channel,
                                                     InstanceId instance) {
  using Stub = proto::Instances::Stub;
  return std::make_shared<RemoteGenerator<Stub>>(proto::Instances::NewStub(channel),
                                                 std::move(instance));
}

grpc::ServerWriteReactor<proto::GenerateEvent>* serve_generate(
    Result<std::shared_ptr<runtime::Generator>> generator, const proto::GenerateRequest& request) {
  auto stream = std::make_shared<GenerateStream>();
  auto* reactor = GenerateStream::hold(stream);
  auto parsed = from_proto(request);
  if (generator.ok() && parsed.ok()) {
    stream->start(std::move(generator).value(), std::move(parsed).value());
  } else {
    stream->push(
        to_proto(runtime::GenerateEvent(!parsed.ok() ? parsed.error() : generator.error())));
    stream->finish();
  }
  return reactor;
}

}  // namespace hearth::daemon
