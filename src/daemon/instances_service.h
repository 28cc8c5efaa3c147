// The gRPC service hearth.proto.Instances on the device port: other devices of the cluster ask the
// instances whose head is here. The port lets only members of the cluster reach it.
#pragma once

#include <functional>
#include <memory>

#include "base/ids.h"
#include "base/result.h"
#include "runtime/generator.h"

namespace grpc {
class Service;
}

namespace hearth::daemon {

// Answers kUnavailable until attached and once detached. Thread-safe.
class InstancesService {
 public:
  virtual ~InstancesService() = default;
  static std::unique_ptr<InstancesService> make();

  virtual grpc::Service* service() = 0;

  using Find = std::function<Result<std::shared_ptr<runtime::Generator>>(const InstanceId&)>;
  virtual void attach(Find find) = 0;
  // `find` is not called once this has returned.
  virtual void detach() = 0;
};

}  // namespace hearth::daemon
