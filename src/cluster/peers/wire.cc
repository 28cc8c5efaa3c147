#include "cluster/peers/wire.h"

#include <algorithm>

#include "base/limits.h"

namespace hearth::cluster {
namespace {

template <class ProtoMap>
VectorClock to_clock(const ProtoMap& map) {
  return VectorClock(map.begin(), map.end());
}

proto::Document to_proto(const Document& document) {
  proto::Document out;
  out.set_key(document.key);
  out.mutable_version()->insert(document.version.begin(), document.version.end());
  out.set_body(document.body);
  out.set_deleted(document.deleted);
  out.set_epoch(document.epoch);
  out.set_written_unix_ms(document.written_unix_ms);
  return out;
}

Document from_proto(const proto::Document& document) {
  return {.key = document.key(),
          .version = to_clock(document.version()),
          .body = document.body(),
          .deleted = document.deleted(),
          .epoch = document.epoch(),
          .written_unix_ms = document.written_unix_ms()};
}

template <class List>
int bounded(const List& list) {
  return std::min(list.size(), limits::kDocumentsMax);
}

template <class List>
std::vector<Document> documents_of(const List& list) {
  std::vector<Document> documents;
  for (int i = 0; i < bounded(list); ++i) documents.push_back(from_proto(list[i]));
  return documents;
}

template <class List>
std::vector<std::string> texts_of(const List& list) {
  return std::vector<std::string>(list.begin(), list.begin() + bounded(list));
}

}  // namespace

proto::HelloRequest to_proto(const HelloRequest& request) {
  proto::HelloRequest out;
  out.set_cluster(request.cluster);
  out.set_protocol(request.protocol);
  out.set_software(request.software);
  out.set_device_id(request.device.str());
  out.set_device_port(request.device_port);
  return out;
}

proto::HelloReply to_proto(const HelloReply& reply) {
  proto::HelloReply out;
  out.set_device_id(reply.device.str());
  out.set_refusal(reply.refusal);
  for (const std::string& peer : reply.peers) out.add_peers(peer);
  return out;
}

proto::SyncRequest to_proto(const SyncRequest& request) {
  proto::SyncRequest out;
  for (const auto& [key, version] : request.digest) {
    proto::DocumentVersion& entry = *out.add_digest();
    entry.set_key(key);
    entry.mutable_version()->insert(version.begin(), version.end());
  }
  for (const Document& document : request.documents) *out.add_documents() = to_proto(document);
  out.set_device_port(request.device_port);
  return out;
}

proto::SyncReply to_proto(const SyncReply& reply) {
  proto::SyncReply out;
  for (const Document& document : reply.documents) *out.add_documents() = to_proto(document);
  for (const std::string& key : reply.wanted) out.add_wanted(key);
  return out;
}

HelloRequest from_proto(const proto::HelloRequest& request) {
  return {.cluster = request.cluster(),
          .protocol = request.protocol(),
          .software = request.software(),
          .device = DeviceId(request.device_id()),
          .device_port = request.device_port()};
}

HelloReply from_proto(const proto::HelloReply& reply) {
  return {.device = DeviceId(reply.device_id()),
          .refusal = reply.refusal(),
          .peers = texts_of(reply.peers())};
}

SyncRequest from_proto(const proto::SyncRequest& request) {
  SyncRequest out{.documents = documents_of(request.documents()),
                  .device_port = request.device_port()};
  for (int i = 0; i < bounded(request.digest()); ++i) {
    out.digest.push_back({request.digest(i).key(), to_clock(request.digest(i).version())});
  }
  return out;
}

SyncReply from_proto(const proto::SyncReply& reply) {
  return {.documents = documents_of(reply.documents()), .wanted = texts_of(reply.wanted())};
}

}  // namespace hearth::cluster
