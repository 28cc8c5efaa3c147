// GET /state of the daemon on this machine, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

struct StateDevice {
  std::string id;
  std::string name;
  std::string status;
  std::string chip;
  std::string address;
  int64_t memory_total_bytes = 0;
  int64_t memory_available_bytes = 0;
  bool self = false;
};

struct StateShard {
  std::string device_id;
  std::string device_name;
  int layer_begin = 0;
  int layer_end = 0;
  std::string carried_by;  // of a rank that is ready
};

struct StateInstance {
  std::string id;
  std::string model;
  std::string status;
  std::string message;
  std::vector<StateShard> shards;  // by rank
};

// A path from a device to another, as measured; see docs/http.md.
struct StateLink {
  std::string from;  // ids
  std::string to;
  std::string host;
  std::string interface;
  std::string kind;
  double latency_us = 0;
  double bits_per_second = 0;
  std::string carried_by;
  std::string error;    // empty: the path is good
  bool chosen = false;  // of all paths between the two
};

struct ClusterState {
  std::vector<StateDevice> devices;  // this one first, then by name
  std::vector<StateLink> links;
  std::vector<StateInstance> instances;
};

// kCorrupt when `text` has not the shape of docs/http.md.
Result<ClusterState> parse_state(const std::string& text);

// A device's name, or the beginning of its id.
std::string name_of(const ClusterState& state, const std::string& id);

// Asks the daemon on `port`.
Result<ClusterState> read_state(int port);

}  // namespace hearth::cli
