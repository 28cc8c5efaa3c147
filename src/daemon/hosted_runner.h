// One runner of this device at work: a thread takes the process through spawn, load and connect,
// and tells of every step.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "daemon/reconcile.h"
#include "engine/rank_model.h"
#include "runtime/generator.h"

namespace hearth::daemon {

class ModelCatalog;
class RunnerProcess;

// What all runners of a device have in common.
struct RunnerSettings {
  DeviceId device;
  ModelCatalog* catalog = nullptr;  // must outlive the runners
  std::string program;              // the binary that knows `runner`; empty: this one
  std::string bind_host;            // where ranks of other devices dial in; empty: everywhere
  std::string transport = "auto";
  int threads = 0;  // per runner; 0: the engine's choice
  engine::Quantize quantize = engine::Quantize::kNone;
};

// Thread-safe.
class HostedRunner {
 public:
  // `changed` is called from threads of this object whenever local() differs; it must not block and
  // must not call back. Progress within a load is told at most four times a second.
  HostedRunner(const RunnerSettings& settings, StartRunner start, std::function<void()> changed);
  // Ends the process and waits for its end.
  ~HostedRunner();

  LocalRunner local() const;
  void connect(const ConnectRunner& order);
  // Begins the end; local() then says `stopping`, and gone() turns true once the memory is free.
  void stop();
  bool gone() const;

  // The instance's generator while this is its ready head, else nullptr.
  std::shared_ptr<runtime::Generator> generator() const;

 private:
  void run();
  Result<void> bring_up();
  Result<std::shared_ptr<RunnerProcess>> spawn();
  Result<ConnectRunner> wait_for_connect_order();
  void report_progress(int layers_done, int layers_total);
  void update(const std::function<void(cluster::RunnerView*)>& change);
  void fail(const Error& error);

  const RunnerSettings settings_;
  const StartRunner start_;
  const std::function<void()> changed_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  LocalRunner local_;
  std::optional<ConnectRunner> connect_order_;
  std::shared_ptr<RunnerProcess> process_;
  std::shared_ptr<runtime::Generator> generator_;
  std::chrono::steady_clock::time_point progress_told_;
  bool gone_ = false;
  std::thread thread_;
};

}  // namespace hearth::daemon
