// A runner (`hearth runner`) as its parent sees it: a child process that is one rank of an
// instance, reached over a Unix socket that only this user can open (proto/runner.proto). Start
// here.
//
//   HEARTH_TRY(auto runner, RunnerProcess::spawn({.name = "ember/1", .on_exit = report}));
//   HEARTH_RETURN_IF_ERROR(runner->load({.model_path = path, .shard = ..., ...}, progress));
//   HEARTH_TRY(const int port, runner->prepare({.epoch = 1, .rank = 1, .world_size = 2}));
//   HEARTH_TRY(const std::string carriers, runner->connect({.addresses = ..., .token = ...}));
//   auto generator = remote_generator.h: runner_generator(runner->channel(), id)   // rank 0 only
//
// When the group has failed and the process lives: prepare it for the next epoch and connect it
// again.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "daemon/seat.h"
#include "engine/rank_model.h"
#include "fabric/collectives.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace hearth::daemon {

struct SpawnOptions {
  std::string name;                   // for the log: "ember/1"
  std::string program;                // the binary that knows `runner`; empty: this one
  std::vector<std::string> launcher;  // words before it: {"numactl", "-N", "1"}
  int start_timeout_ms = 20'000;
  // Called once, from a thread of this object, when the process has ended for whatever reason: how,
  // and what it last said ("runner ember/1 was killed by signal 9 (Killed)"). Not called after
  // destruction began. Must not destroy the RunnerProcess.
  std::function<void(Error)> on_exit;
  // Called at most once for each epoch, from a thread of this object, when the runner's group
  // failed (another rank died); the process itself lives. Same rules.
  std::function<void(int64_t epoch, Error)> on_group_failure;
  // Called now and then, from a thread of this object, with how long the runner's layers take for a
  // token. Same rules.
  std::function<void(const engine::LayerTimes&)> on_layer_times;
};

// What one rank loads.
struct RankLoad {
  InstanceId instance;
  std::string model_name;  // for messages: "ember"
  std::string model_path;
  engine::Shard shard;
  int threads = 0;  // 0: the engine's choice
  engine::Precision precision = engine::Precision::kDefault;
  engine::Quantize quantize = engine::Quantize::kNone;
  engine::KvType kv = engine::KvType::kQ16;  // the same on every rank
  // The same on every rank; 0: runtime::default_kv_plan of the model, which is.
  int64_t kv_tokens = 0;
  int sequences_max = 0;
  std::string bind_host = "127.0.0.1";  // where its rendezvous listens
};

struct GroupConnect {
  std::vector<std::string> addresses;  // "host:port" of every rank's rendezvous; own entry unused
  std::string token;
  std::string transport = "auto";
  fabric::TeamOptions team;  // of the ranks that share a stage
};

using LoadProgressHandler = std::function<void(int layers_done, int layers_total)>;

// Destruction kills the process and waits for its end. Thread-safe; calls block until the runner
// answered or has ended (kUnavailable, with on_exit's text).
class RunnerProcess {
 public:
  virtual ~RunnerProcess() = default;

  // Starts the process and waits until it answers. Its stderr goes to this process's log as
  // warnings, each line behind the runner's name. kUnavailable with what the process said when it
  // does not come up.
  static Result<std::unique_ptr<RunnerProcess>> spawn(SpawnOptions options);

  virtual int pid() const = 0;
  virtual std::shared_ptr<grpc::Channel> channel() const = 0;

  // Loads the rank, once. `progress` may be empty.
  virtual Result<void> load(const RankLoad& load, const LoadProgressHandler& progress) = 0;
  // Takes a seat in the group of a new epoch; the loaded model stays. Ends what the runner does in
  // its present group. Returns the port of its rendezvous (0 when world_size is 1). kUnavailable
  // before the load, kInvalidArgument when the epoch is not newer than the last.
  virtual Result<int> prepare(const Seat& seat) = 0;
  // Joins the group that it was prepared for; blocks until every rank has, or kCancelled until
  // `stop`. Returns what carries the rank's messages: fabric::carriers. After an error it can be
  // prepared again.
  virtual Result<std::string> connect(const GroupConnect& connect, std::stop_token stop = {}) = 0;

  // Ends the process at once; its memory is free when this returns. Idempotent.
  virtual void kill() = 0;
  // How the process ended; ok while it runs.
  virtual Result<void> status() const = 0;
};

}  // namespace hearth::daemon
