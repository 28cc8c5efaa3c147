// Between the wire (proto/generate.proto) and runtime/generator.h. What comes from the wire is
// checked here.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "proto/generate.pb.h"
#include "runtime/generator.h"

namespace hearth::daemon {

proto::GenerateRequest to_proto(const runtime::GenerateRequest& request,
                                const InstanceId& instance);
// kInvalidArgument when there is no prompt or a number is out of range.
Result<runtime::GenerateRequest> from_proto(const proto::GenerateRequest& request);

proto::GenerateEvent to_proto(const runtime::GenerateEvent& event);
// kCorrupt when it is no event.
Result<runtime::GenerateEvent> from_proto(const proto::GenerateEvent& event);

proto::Failure to_proto(const Error& error);
// A code that does not exist becomes kInternal.
Error from_proto(const proto::Failure& failure);

}  // namespace hearth::daemon
