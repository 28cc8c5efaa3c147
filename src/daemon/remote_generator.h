// runtime::Generator across gRPC, both ends of it.
#pragma once

#include <memory>

#include "base/ids.h"
#include "base/result.h"
#include "runtime/generator.h"

namespace grpc {
class Channel;
template <class Message>
class ServerWriteReactor;
}  // namespace grpc

namespace hearth::proto {
class GenerateEvent;
class GenerateRequest;
}  // namespace hearth::proto

namespace hearth::daemon {

// Asks the runner (rank 0) behind `channel`. A runner that dies ends its requests with
// kUnavailable.
std::shared_ptr<runtime::Generator> runner_generator(std::shared_ptr<grpc::Channel> channel);

// Asks another device's service hearth.proto.Instances for `instance`.
std::shared_ptr<runtime::Generator> device_generator(std::shared_ptr<grpc::Channel> channel,
                                                     InstanceId instance);

// The serving end, for a callback service's Generate: streams the events of `generator` until the
// last, cancels when the caller goes away, and keeps `generator` alive meanwhile. A request that
// does not parse, and a `generator` that is an error, end the stream with a Failure event. The
// reactor owns itself.
grpc::ServerWriteReactor<proto::GenerateEvent>* serve_generate(
    Result<std::shared_ptr<runtime::Generator>> generator, const proto::GenerateRequest& request);

}  // namespace hearth::daemon
