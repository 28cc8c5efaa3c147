#include "daemon/instances_service.h"

#include <grpcpp/grpcpp.h>

#include "cluster/identity.h"
#include "daemon/remote_generator.h"
#include "proto/instances.grpc.pb.h"

namespace hearth::daemon {
namespace {

using GeneratorResult = Result<std::shared_ptr<runtime::Generator>>;

// The device at the other end, by the certificate it proved to hold.
Result<DeviceId> caller(const grpc::CallbackServerContext& context) {
  const auto security = context.auth_context();
  const auto certificates = security->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (certificates.size() != 1) {
    return Error(Code::kPermissionDenied, "the caller shows no certificate");
  }
  return cluster::device_id_of({certificates[0].data(), certificates[0].size()});
}

class Service final : public InstancesService, private proto::Instances::CallbackService {
 public:
  grpc::Service* service() override { return this; }

  void attach(IsMember is_member, Find find) override {
    std::lock_guard lock(mutex_);
    is_member_ = std::move(is_member);
    find_ = std::move(find);
  }

  void detach() override { attach(nullptr, nullptr); }

 private:
  grpc::ServerWriteReactor<proto::GenerateEvent>* Generate(
      grpc::CallbackServerContext* context, const proto::GenerateRequest* request) override {
    return serve_generate(find(*context, *request), *request);
  }

  GeneratorResult find(const grpc::CallbackServerContext& context,
                       const proto::GenerateRequest& request) {
    HEARTH_TRY(const DeviceId device, caller(context));
    std::lock_guard lock(mutex_);
    if (find_ == nullptr) return Error(Code::kUnavailable, "the device is starting or stopping");
    if (!is_member_(device)) {
      return Error(Code::kPermissionDenied,
                   "device " + device.brief() + " is not in this device's cluster");
    }
    return find_(InstanceId(request.instance_id()));
  }

  std::mutex mutex_;
  IsMember is_member_;
  Find find_;
};

}  // namespace

std::unique_ptr<InstancesService> InstancesService::make() { return std::make_unique<Service>(); }

}  // namespace hearth::daemon
