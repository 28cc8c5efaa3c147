// A runner (`hearth runner`) as its parent sees it: a child process that is one rank of an
// instance, reached over a Unix socket that only this user can open (proto/runner.proto). Start
// here.
//
//   HEARTH_TRY(auto runner, RunnerProcess::spawn({.name = "ember/1", .on_exit = report}));
//   HEARTH_TRY(const int port, runner->load({.model_path = path, .rank = 1, ...}, progress));
//   HEARTH_TRY(const std::string carriers, runner->connect({.addresses = ..., .token = ...}));
//   auto generator = remote_generator.h: runner_generator(runner->channel(), id)   // rank 0 only
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
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
  // Called at most once, from a thread of this object, when the runner's group failed (another rank
  // died); the process itself lives. Same rules.
  std::function<void(Error)> on_group_failure;
  // Called now and then, from a thread of this object, with how long the runner's layers take for a
  // token. Same rules.
  std::function<void(const engine::LayerTimes&)> on_layer_times;
};

// What one rank loads.
struct RankLoad {
  InstanceId instance;
  int64_t epoch = 0;
  std::string model_name;  // for messages: "ember"
  std::string model_path;
  int rank = 0;
  int world_size = 1;
  engine::Shard shard;
  int threads = 0;  // 0: the engine's choice
  engine::Precision precision = engine::Precision::kDefault;
  engine::Quantize quantize = engine::Quantize::kNone;
  engine::KvType kv = engine::KvType::kQ16;  // the same on every rank
  // The same on every rank; 0: runtime::default_kv_plan of the model, which is.
  int64_t kv_tokens = 0;
  int sequences_max = 0;
  std::string bind_host = "127.0.0.1";  // where the rendezvous listens
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

  // Loads the rank; returns the port of its rendezvous (0 when world_size is 1). `progress` may be
  // empty.
  virtual Result<int> load(const RankLoad& load, const LoadProgressHandler& progress) = 0;
  // Joins the group; blocks until every rank has. Returns what carries the rank's
  // messages: fabric::carriers.
  virtual Result<std::string> connect(const GroupConnect& connect) = 0;

  // Ends the process at once; its memory is free when this returns. Idempotent.
  virtual void kill() = 0;
  // How the process ended; ok while it runs.
  virtual Result<void> status() const = 0;
};

}  // namespace hearth::daemon
