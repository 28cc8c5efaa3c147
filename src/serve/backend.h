// What the HTTP server needs from the rest of the device. The daemon implements it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/generator.h"

namespace hearth::serve {

struct ModelCard {
  std::string id;  // what clients put into "model"
  std::string name;
  std::string description;
  std::string architecture;
  std::string encoding;
  int64_t storage_bytes = 0;
  int context_length = 0;
  int layers = 0;
  bool running = false;              // an instance of it is ready
  std::vector<std::string> devices;  // ids that hold its files
};

struct PlaceRequest {
  std::string model_id;
  int min_nodes = 1;
  std::string sharding = "auto";  // "auto", "pipeline" or "tensor"
  std::string kv;                 // numbers of the KV cache: "q16"; empty: as the device was told
};

// Thread-safe; no call blocks on the network or on computation.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::vector<ModelCard> models() = 0;
  // The generator of a ready instance of `model` (id, alias, or instance id), wherever it runs.
  // kNotFound when no such model or instance, kUnavailable when there is one that is not ready.
  virtual Result<std::shared_ptr<runtime::Generator>> generator(const std::string& model) = 0;

  // JSON texts in the shapes of docs/http.md.
  virtual std::string device_id() = 0;
  virtual std::string state_json() = 0;
  virtual std::string health_json() = 0;
  virtual Result<std::string> instance_json(const std::string& instance_id) = 0;
  // For each number of devices, so `request.min_nodes` is not looked at.
  virtual Result<std::string> previews_json(const PlaceRequest& request) = 0;
  // The new instance's id.
  virtual Result<std::string> place_instance(const PlaceRequest& request) = 0;
  virtual Result<void> delete_instance(const std::string& instance_id) = 0;

  // Calls `changed` (from any thread, must not block) whenever state_json() would differ, until the
  // returned handle is destroyed.
  virtual std::shared_ptr<void> watch(std::function<void()> changed) = 0;
};

}  // namespace hearth::serve
