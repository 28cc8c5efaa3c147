// One rank of an instance: loaded, then connected, then at work. What a runner's RPCs stand on.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "daemon/runner_process.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"
#include "engine/tokenizer.h"
#include "fabric/group.h"
#include "runtime/instance.h"

namespace hearth::daemon {

// Goes through load and connect once each. Thread-safe.
class Rank {
 public:
  // `on_group_failure` is called at most once, from a thread of the rank's.
  explicit Rank(std::function<void(Error)> on_group_failure)
      : on_group_failure_(std::move(on_group_failure)) {}
  // Leaves the group and waits for the work in flight.
  ~Rank();

  // Blocks. Returns the rendezvous' port, 0 when alone. kAlreadyExists when there was a load
  // before.
  Result<int> load(const RankLoad& load, const LoadProgressHandler& progress);
  // Blocks until every rank has joined. Returns what carries its messages: fabric::carriers.
  Result<std::string> connect(const GroupConnect& connect);
  // kUnavailable unless this is a connected rank 0.
  Result<std::shared_ptr<runtime::Generator>> generator() const;
  // As the model's; nothing before it is connected.
  engine::LayerTimes layer_times() const;

 private:
  enum class State { kEmpty, kLoading, kLoaded, kConnecting, kConnected };

  Result<int> load_parts(const LoadProgressHandler& progress);
  Result<std::string> join(const GroupConnect& connect);
  Result<void> enter(State from, State to, const std::string& refusal);

  const std::function<void(Error)> on_group_failure_;

  mutable std::mutex mutex_;
  State state_ = State::kEmpty;
  std::shared_ptr<runtime::Instance> instance_;

  // Touched by load and connect only, which exclude each other by `state_`.
  RankLoad load_;
  std::unique_ptr<engine::ModelFiles> files_;
  std::shared_ptr<engine::RankModel> model_;
  std::shared_ptr<const engine::Tokenizer> tokenizer_;
  std::unique_ptr<fabric::Rendezvous> rendezvous_;
  std::unique_ptr<fabric::Group> group_;  // of a rank that follows
  std::thread follower_;
};

}  // namespace hearth::daemon
