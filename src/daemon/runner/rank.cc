#include "daemon/runner/rank.h"

#include <utility>

#include "base/config.h"
#include "base/limits.h"
#include "runtime/executor.h"
#include "runtime/kv_plan.h"

namespace hearth::daemon {

Rank::~Rank() {
  if (!follower_.joinable()) return;
  group_->fail("rank " + std::to_string(load_.rank) + " was shut down");
  follower_.join();
}

Result<void> Rank::enter(State from, State to, const std::string& refusal) {
  std::lock_guard lock(mutex_);
  if (state_ != from) return Error(Code::kAlreadyExists, refusal);
  state_ = to;
  return {};
}

Result<int> Rank::load(const RankLoad& load, const LoadProgressHandler& progress) {
  HEARTH_RETURN_IF_ERROR(
      enter(State::kEmpty, State::kLoading, "this runner was told to load before"));
  if (load.world_size < 1 || load.world_size > limits::kRanksMax || load.rank < 0 ||
      load.rank >= load.world_size) {
    return Error(Code::kInvalidArgument,
                 "rank " + std::to_string(load.rank) + " of " + std::to_string(load.world_size));
  }
  if (load.sequences_max > limits::kSequencesMax) {
    return Error(Code::kInvalidArgument, "an instance runs at most " +
                                             std::to_string(limits::kSequencesMax) + " sequences");
  }
  load_ = load;
  HEARTH_TRY(const int port, load_parts(progress));
  HEARTH_RETURN_IF_ERROR(enter(State::kLoading, State::kLoaded, "loading was interrupted"));
  return port;
}

Result<int> Rank::load_parts(const LoadProgressHandler& progress) {
  HEARTH_TRY(files_, engine::ModelFiles::open(load_.model_path));
  const runtime::KvPlan plan = runtime::default_kv_plan(files_->spec());
  HEARTH_TRY(model_,
             engine::RankModel::load(
                 *files_, {.shard = load_.shard,
                           .precision = load_.precision,
                           .quantize = load_.quantize,
                           .kv = load_.kv,
                           .threads = load_.threads,
                           .kv_tokens = load_.kv_tokens > 0 ? load_.kv_tokens : plan.kv_tokens,
                           .sequences_max =
                               load_.sequences_max > 0 ? load_.sequences_max : plan.sequences_max,
                           .cache_dir = directories().cache,
                           .progress = progress}));
  if (load_.rank == 0) {
    HEARTH_TRY(tokenizer_, engine::Tokenizer::load(load_.model_path));
  } else {
    files_.reset();  // the head reads the chat template from them
  }
  if (load_.world_size == 1) return 0;
  HEARTH_TRY(rendezvous_, fabric::Rendezvous::listen(load_.bind_host));
  return rendezvous_->port();
}

Result<std::string> Rank::connect(const GroupConnect& connect) {
  HEARTH_RETURN_IF_ERROR(enter(State::kLoaded, State::kConnecting,
                               "this runner is not one that has loaded and was not connected"));
  HEARTH_TRY(std::string carriers, join(connect));
  HEARTH_RETURN_IF_ERROR(enter(State::kConnecting, State::kConnected, "joining was interrupted"));
  return carriers;
}

Result<std::string> Rank::join(const GroupConnect& connect) {
  if (static_cast<int>(connect.addresses.size()) != load_.world_size) {
    return Error(Code::kInvalidArgument, std::to_string(connect.addresses.size()) +
                                             " addresses for a group of " +
                                             std::to_string(load_.world_size));
  }
  HEARTH_TRY(std::unique_ptr<fabric::Group> group,
             fabric::Group::join(std::move(rendezvous_), {.rank = load_.rank,
                                                          .addresses = connect.addresses,
                                                          .token = connect.token,
                                                          .transport = connect.transport}));
  std::string carriers = fabric::carriers(*group);
  if (load_.rank > 0) {
    group_ = std::move(group);
    follower_ = std::thread([this, team = connect.team] {
      on_group_failure_(runtime::follow(*model_, *group_, team));
    });
    return carriers;
  }
  HEARTH_TRY(auto instance, runtime::Instance::start({.name = load_.model_name,
                                                      .files = files_.get(),
                                                      .tokenizer = tokenizer_,
                                                      .model = model_,
                                                      .group = std::move(group),
                                                      .team = connect.team,
                                                      .on_failure = on_group_failure_}));
  files_.reset();
  std::lock_guard lock(mutex_);
  instance_ = std::move(instance);
  return carriers;
}

Result<std::shared_ptr<runtime::Generator>> Rank::generator() const {
  std::lock_guard lock(mutex_);
  if (instance_ == nullptr) {
    return Error(Code::kUnavailable, "this runner is not the connected head of an instance");
  }
  return std::shared_ptr<runtime::Generator>(instance_);
}

engine::LayerTimes Rank::layer_times() const {
  std::lock_guard lock(mutex_);
  return state_ == State::kConnected ? model_->layer_times() : engine::LayerTimes();
}

}  // namespace hearth::daemon
