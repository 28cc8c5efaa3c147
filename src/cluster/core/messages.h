// What devices say to each other, as the core sees it: proto/cluster.proto without the wire.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "cluster/state/document.h"

namespace hearth::cluster {

// Devices with another number refuse each other.
inline constexpr int kProtocol = 1;

struct HelloRequest {
  std::string cluster;
  int protocol = 0;
  std::string software;
  DeviceId device;
  int device_port = 0;
};

struct HelloReply {
  DeviceId device;
  std::string refusal;  // empty: welcome
  std::vector<std::string> peers;
};

struct SyncRequest {
  std::vector<DocumentVersion> digest;  // empty in a push
  std::vector<Document> documents;
  int device_port = 0;
};

struct SyncReply {
  std::vector<Document> documents;
  std::vector<std::string> wanted;
};

struct GoodbyeRequest {};
struct GoodbyeReply {};

// The callee does not know the caller as a member: say hello first.
struct NotMember {};

using Request = std::variant<HelloRequest, SyncRequest, GoodbyeRequest>;
using Reply = std::variant<NotMember, HelloReply, SyncReply, GoodbyeReply>;

}  // namespace hearth::cluster
