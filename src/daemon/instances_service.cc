#include "daemon/instances_service.h"

#include <grpcpp/grpcpp.h>

#include <mutex>

#include "daemon/remote_generator.h"
#include "proto/instances.grpc.pb.h"

namespace hearth::daemon {
namespace {

class Service final : public InstancesService, private proto::Instances::CallbackService {
 public:
  grpc::Service* service() override { return this; }

  void attach(Find find) override {
    std::lock_guard lock(mutex_);
    find_ = std::move(find);
  }
  void detach() override { attach(nullptr); }

 private:
  grpc::ServerWriteReactor<proto::GenerateEvent>* Generate(
      grpc::CallbackServerContext*, const proto::GenerateRequest* request) override {
    return serve_generate(find(InstanceId(request->instance_id())), *request);
  }

  Result<std::shared_ptr<runtime::Generator>> find(const InstanceId& instance) {
    std::lock_guard lock(mutex_);
    if (find_ == nullptr) return Error(Code::kUnavailable, "the device is starting or stopping");
    return find_(instance);
  }

  std::mutex mutex_;
  Find find_;
};

}  // namespace

std::unique_ptr<InstancesService> InstancesService::make() { return std::make_unique<Service>(); }

}  // namespace hearth::daemon
