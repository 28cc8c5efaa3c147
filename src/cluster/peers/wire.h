// The core's messages as protobuf messages (proto/cluster.proto), and back.
#pragma once

#include "cluster/core/messages.h"
#include "proto/cluster.pb.h"

namespace hearth::cluster {

proto::HelloRequest to_proto(const HelloRequest& request);
proto::HelloReply to_proto(const HelloReply& reply);
proto::SyncRequest to_proto(const SyncRequest& request);
proto::SyncReply to_proto(const SyncReply& reply);

// Whatever a peer sent becomes a message: the core checks what is in it. Lists are cut at the
// limits.
HelloRequest from_proto(const proto::HelloRequest& request);
HelloReply from_proto(const proto::HelloReply& reply);
SyncRequest from_proto(const proto::SyncRequest& request);
SyncReply from_proto(const proto::SyncReply& reply);

}  // namespace hearth::cluster
