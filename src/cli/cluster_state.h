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
};

struct StateInstance {
  std::string id;
  std::string model;
  std::string status;
  std::string message;
  std::vector<StateShard> shards;  // by rank
};

struct ClusterState {
  std::vector<StateDevice> devices;  // this one first, then by name
  std::vector<StateInstance> instances;
};

// kCorrupt when `text` has not the shape of docs/http.md.
Result<ClusterState> parse_state(const std::string& text);

// Asks the daemon on `port`.
Result<ClusterState> read_state(int port);

}  // namespace hearth::cli
