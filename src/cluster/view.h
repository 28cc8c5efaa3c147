// What a device knows of its cluster: plain data, copied out as one consistent snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"

namespace hearth::cluster {

// How long the parts of a model took a device for one token.
struct TokenTimes {
  std::vector<int64_t> layers_ns;  // [layers of the model]; 0: not timed there
  int64_t embedding_ns = 0;        // as layers'
  int64_t head_ns = 0;

  bool operator==(const TokenTimes&) const = default;
};

// A model as placement sees it; published by each device that holds its files.
struct ModelFacts {
  std::string id;  // alias, path or hub id; what people call it
  std::string name;
  std::string architecture;
  std::string encoding;
  int layers = 0;
  int context = 0;
  int64_t layer_bytes = 0;      // of one layer
  int64_t embedding_bytes = 0;  // held by the first stage
  int64_t head_bytes = 0;       // held by the last stage (the embedding's size when tied)
  // Of the KV cache of one layer, in the room that an instance gets; by the type of its numbers.
  std::map<std::string, int64_t> kv_layer_bytes;
  int64_t file_bytes = 0;  // of all tensors, each once
  // What a token costs all ranks together, for predictions; 0: unknown.
  int64_t token_bytes = 0;          // of weights that are read
  int64_t token_multiply_adds = 0;  // of products with them
  int hidden = 0;                   // numbers that go from layer to layer
  int kv_heads = 0;                 // more slices than these share them
  int slices_max = 1;               // how many ranks can share a layer
  // What the device measured when it ran the model, by the type of the KV cache's numbers.
  std::map<std::string, TokenTimes> token_times;

  int64_t total_bytes() const { return layer_bytes * layers + embedding_bytes + head_bytes; }
  bool operator==(const ModelFacts&) const = default;
};

// A directed path from the device that tells of it to another, over one address of each, measured.
struct LinkFacts {
  DeviceId to;
  std::string host;        // the other's address, numeric
  std::string local_host;  // this device's
  std::string interface;   // that has it: "eth0"
  std::string kind;        // of the interface: fabric/interface.h
  std::string rdma_ports;  // "mlx5_0:1", mostly empty
  int64_t latency_ns = 0;  // one way
  int64_t bits_per_second = 0;
  std::string error;  // why there is no path; nothing is measured then

  bool up() const { return error.empty(); }
  bool operator==(const LinkFacts&) const = default;
};

// What a device says of itself.
struct DeviceFacts {
  DeviceId id;
  std::string name;
  std::string model;  // "Linux x86_64"
  std::string chip;   // "Intel(R) Xeon(R) 6985P-C"
  std::string os;     // "Debian GNU/Linux 12 (bookworm)"
  std::string version;
  int cores = 0;
  int64_t memory_total_bytes = 0;
  int64_t memory_available_bytes = 0;
  std::vector<std::string> addresses;  // "host:port" of its device port, as it believes
  int64_t joined_unix_ms = 0;  // when this device first joined the cluster; decides the coordinator
  std::vector<ModelFacts> models;
  // Measured, of all cores; 0: not yet.
  int64_t memory_bytes_per_second = 0;
  int64_t multiply_adds_per_second = 0;  // of quantised activations
  std::vector<std::string> transports;   // between ranks, best first: fabric/transport.h
  std::vector<LinkFacts> links;
};

enum class DeviceStatus { kOnline, kSuspect, kOffline };

struct DeviceView {
  DeviceFacts facts;
  DeviceStatus status = DeviceStatus::kOffline;
  int64_t last_seen_ms_ago = 0;
  // "host:port" that answered last, "[fe80::1%eth0]:52416" for a link-local one; empty for this
  // device itself, and for one that can call this device but not be called.
  std::string reachable_at;
};

// "times" that devices measured of the model's layers, "bytes" of them and measured bandwidth, or
// the "memory" that is available.
inline constexpr const char* kCutByTimes = "times";
inline constexpr const char* kCutByBytes = "bytes";
inline constexpr const char* kCutByMemory = "memory";

// One rank of a plan.
struct RankPlan {
  DeviceId device;
  int layer_begin = 0;
  int layer_end = 0;
  int64_t memory_bytes = 0;  // predicted need
  int share = 1;             // of its stage's layers, compared with the stage's other ranks
  std::string wire = "f32";  // as what its stage's sums travel: fabric/wire_precision.h
};

// Where an instance runs. A new plan has a higher epoch; runners of older epochs that hold the same
// part of the model go over to it, others are stopped.
// Epochs are not consecutive: each is the coordinator's clock in ms, or one more than before if
// that is greater. An instance that ran and now fits nowhere has an epoch and no ranks.
//
// The ranks are a grid: `slices` ranks with the same layers follow each other and are a stage.
struct Plan {
  int64_t epoch = 0;
  std::string token;  // shared secret of the epoch's group (fabric/group.h)
  std::vector<RankPlan> ranks;
  int slices = 1;
  // By what layers and slices were dealt out: one of kCutBy...; empty: not known.
  std::string cut_by;
  // Predicted for one sequence; 0 where not enough is measured.
  int64_t token_ns = 0;
  int64_t first_token_ns = 0;  // of a prompt of kPredictedPromptTokens (placement.h)

  bool empty() const { return ranks.empty(); }
  int stages() const { return static_cast<int>(ranks.size()) / slices; }
};

// How an instance is to be cut; "auto" leaves it to what is measured.
inline constexpr const char* kShardings[] = {"auto", "pipeline", "tensor"};

// What a person wants.
struct InstanceRequest {
  std::string model;
  int min_devices = 1;
  std::string kv = "q16";         // numbers of the KV cache, on every rank: engine/kv_type.h
  std::string sharding = "auto";  // one of kShardings
};

// Desired state: wanted by a person, kept until deleted.
struct InstanceView {
  InstanceId id;
  std::string model;
  int min_devices = 1;
  std::string kv = "q16";  // this and the next as InstanceRequest's
  std::string sharding = "auto";
  int64_t created_unix_ms = 0;
  Plan plan;            // empty: nothing fits (`message` says why) or not planned yet
  std::string message;  // why it waits or failed, for people
  int failures = 0;     // failed starts in a row
};

enum class RunnerStatus { kStarting, kLoading, kLoaded, kConnecting, kReady, kFailed };

// One runner as its device reports it.
struct RunnerView {
  DeviceId device;
  InstanceId instance;
  int64_t epoch = 0;
  int rank = 0;
  RunnerStatus status = RunnerStatus::kStarting;
  int layers_loaded = 0;  // 0 again once its process is gone
  int layers_total = 0;
  int rendezvous_port = 0;  // where the other ranks dial it, once loaded
  std::string carriers;     // kReady: what carries messages to other ranks; fabric::carriers
  std::string error;        // kFailed: why

  // Whether its part of the model is in memory: at work, or kept while its group has failed.
  bool holds_weights() const { return layers_total > 0 && layers_loaded == layers_total; }
};

struct ClusterView {
  std::string cluster_name;
  DeviceId self;
  DeviceId coordinator;
  std::map<DeviceId, DeviceView> devices;  // this one included
  std::map<InstanceId, InstanceView> instances;
  std::vector<RunnerView> runners;  // of online devices

  // What people call the device; the beginning of its id where that is not known.
  std::string name_of(const DeviceId& id) const {
    const auto device = devices.find(id);
    const bool named = device != devices.end() && !device->second.facts.name.empty();
    return named ? device->second.facts.name : id.brief();
  }
};

}  // namespace hearth::cluster
