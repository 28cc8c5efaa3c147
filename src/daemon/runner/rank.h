// One rank of an instance: loaded once, then a member of one group after another. What a runner's
// RPCs stand on.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
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

// load() once; then prepare() and connect() for every epoch. Thread-safe.
class Rank {
 public:
  // `on_group_failure` is called at most once for each epoch, from a thread of the rank's.
  using GroupFailure = std::function<void(int64_t epoch, const Error& error)>;
  explicit Rank(GroupFailure on_group_failure) : on_group_failure_(std::move(on_group_failure)) {}
  // Leaves the group and waits for the work in flight.
  ~Rank();

  // Blocks. kAlreadyExists when there was a load before.
  Result<void> load(const RankLoad& load, const LoadProgressHandler& progress);
  // Takes a seat in the group of a new epoch: leaves the group that it is in, or is about to join,
  // ends the requests at work with kUnavailable, and opens a rendezvous. The weights stay, what the
  // cache holds of sequences does not. Returns the rendezvous' port, 0 when alone. kUnavailable
  // before the load, kInvalidArgument when the epoch is not newer than the one it is in.
  Result<int> prepare(const Seat& seat);
  // Blocks until every rank of the epoch has joined. Returns what carries its messages:
  // fabric::carriers. When it fails, the rank can be prepared again. kAlreadyExists unless it was
  // prepared.
  Result<std::string> connect(const GroupConnect& connect);
  // kUnavailable unless this is a connected rank 0.
  Result<std::shared_ptr<runtime::Generator>> generator() const;
  // As the model's; nothing before it is connected.
  engine::LayerTimes layer_times() const;

 private:
  enum class State { kEmpty, kLoading, kLoaded, kPreparing, kPrepared, kConnecting, kConnected };

  Result<void> load_parts(const LoadProgressHandler& progress);
  Result<void> begin_preparing(const Seat& seat);
  void leave(const std::string& why);
  Result<std::string> join(const GroupConnect& connect);
  Result<void> lead(std::unique_ptr<fabric::Group> group, const fabric::TeamOptions& team);
  void follow(std::unique_ptr<fabric::Group> group, const fabric::TeamOptions& team);
  Result<void> enter(State from, State to, const std::string& refusal);
  void enter(State state);

  const GroupFailure on_group_failure_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // state_
  State state_ = State::kEmpty;
  Seat seat_;
  std::stop_source joining_;  // of the seat: ends its connect
  std::shared_ptr<runtime::Instance> instance_;

  // Touched by load, prepare and connect only, which exclude each other by `state_`.
  RankLoad load_;
  std::unique_ptr<engine::ModelFiles> files_;  // this and the next: of who can be the head
  std::shared_ptr<const engine::Tokenizer> tokenizer_;
  std::shared_ptr<engine::RankModel> model_;
  std::unique_ptr<fabric::Rendezvous> rendezvous_;
  std::unique_ptr<fabric::Group> group_;  // of a rank that follows
  std::thread follower_;
};

}  // namespace hearth::daemon
