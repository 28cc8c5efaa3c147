// One runner of this device at work: a thread takes the process through spawn and load, then
// through the group of one epoch after another, and tells of every step.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
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

// A process that ends, cannot load or cannot be prepared is gone for good: local() says kFailed and
// holds no weights. When its group fails it keeps process and weights, says kFailed too, and waits
// for renew() or stop(). Thread-safe.
class HostedRunner {
 public:
  // `changed` is called from threads of this object whenever local() differs; it must not block and
  // must not call back. Progress within a load is told at most four times a second.
  HostedRunner(const RunnerSettings& settings, const StartRunner& start,
               std::function<void()> changed);
  // Ends the process and waits for its end.
  ~HostedRunner();

  LocalRunner local() const;
  // Takes it out of its group, or out of the way to it, and to the seat of a newer epoch: at once,
  // or when its model is loaded.
  void renew(const Seat& seat);
  void connect(const ConnectRunner& order);
  // Begins the end; local() then says `stopping`, and gone() turns true once the memory is free.
  void stop();
  bool gone() const;

  // The instance's generator while this is its ready head, else nullptr.
  std::shared_ptr<runtime::Generator> generator() const;

 private:
  // A seat that it has, until it is renewed.
  struct Turn {
    Seat seat;
    std::stop_token over;
  };

  void run();
  Result<std::shared_ptr<RunnerProcess>> load();
  Result<std::shared_ptr<RunnerProcess>> spawn();
  // Waits for the next; nothing when the process is gone or to be stopped.
  std::optional<Turn> next_turn();
  void take(const Turn& turn, RunnerProcess& process);
  Result<std::string> join(const Turn& turn, RunnerProcess& process);
  Result<ConnectRunner> wait_for_connect_order(const Turn& turn);
  void report_progress(int layers_done, int layers_total);
  // Of the seat that it has now; those of an earlier one are old news and dropped.
  void update(int64_t epoch, const std::function<void(cluster::RunnerView*)>& change);
  void fail_group(int64_t epoch, const Error& error);
  void fail_process(const Error& error);
  void fail_locked(const Error& error);

  const RunnerSettings settings_;
  const InstanceId instance_;
  const ModelPart part_;
  const std::function<void()> changed_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  LocalRunner local_;
  Seat seat_;
  std::stop_source turn_;  // of seat_
  bool process_failed_ = false;
  std::optional<ConnectRunner> connect_order_;
  std::shared_ptr<RunnerProcess> process_;
  std::shared_ptr<runtime::Generator> generator_;
  std::chrono::steady_clock::time_point progress_told_;
  bool gone_ = false;

  int64_t epoch_taken_ = 0;  // of thread_ alone: its last turn's
  std::thread thread_;
};

}  // namespace hearth::daemon
