#include "daemon/runner/rank.h"

#include <fmt/format.h>

#include <utility>

#include "base/config.h"
#include "base/limits.h"
#include "runtime/executor.h"
#include "runtime/kv_plan.h"

namespace hearth::daemon {

Rank::~Rank() { leave("was shut down"); }

Result<void> Rank::enter(State from, State to, const std::string& refusal) {
  std::lock_guard lock(mutex_);
  if (state_ != from) return Error(Code::kAlreadyExists, refusal);
  state_ = to;
  return {};
}

void Rank::enter(State state) {
  std::lock_guard lock(mutex_);
  state_ = state;
  changed_.notify_all();
}

Result<void> Rank::load(const RankLoad& load, const LoadProgressHandler& progress) {
  HEARTH_RETURN_IF_ERROR(
      enter(State::kEmpty, State::kLoading, "this runner was told to load before"));
  if (load.sequences_max > limits::kSequencesMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("an instance runs at most {} sequences", limits::kSequencesMax));
  }
  load_ = load;
  HEARTH_RETURN_IF_ERROR(load_parts(progress));
  enter(State::kLoaded);
  return {};
}

Result<void> Rank::load_parts(const LoadProgressHandler& progress) {
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
  if (load_.shard.first() && load_.shard.slice == 0) {
    HEARTH_TRY(tokenizer_, engine::Tokenizer::load(load_.model_path));
  } else {
    files_.reset();  // the head reads the chat template from them
  }
  return {};
}

Result<int> Rank::prepare(const Seat& seat) {
  if (seat.world_size < 1 || seat.world_size > limits::kRanksMax || seat.rank < 0 ||
      seat.rank >= seat.world_size) {
    return Error(Code::kInvalidArgument, fmt::format("rank {} of {}", seat.rank, seat.world_size));
  }
  HEARTH_RETURN_IF_ERROR(begin_preparing(seat));
  leave("was called into another group");
  if (seat.world_size > 1) {
    auto rendezvous = fabric::Rendezvous::listen(load_.bind_host);
    if (!rendezvous.ok()) {
      enter(State::kLoaded);
      return rendezvous.error();
    }
    rendezvous_ = std::move(*rendezvous);
  }
  const int port = rendezvous_ == nullptr ? 0 : rendezvous_->port();
  enter(State::kPrepared);
  return port;
}

// Ends a connect under way, so that it can be prepared anew.
Result<void> Rank::begin_preparing(const Seat& seat) {
  std::unique_lock lock(mutex_);
  if (state_ == State::kEmpty || state_ == State::kLoading) {
    return Error(Code::kUnavailable, "this runner has not loaded its layers");
  }
  while (true) {
    if (seat.epoch <= seat_.epoch) {
      return Error(
          Code::kInvalidArgument,
          fmt::format("epoch {} is not newer than this runner's, {}", seat.epoch, seat_.epoch));
    }
    if (state_ != State::kConnecting && state_ != State::kPreparing) break;
    joining_.request_stop();
    changed_.wait(lock);
  }
  state_ = State::kPreparing;
  seat_ = seat;
  joining_ = std::stop_source();
  return {};
}

void Rank::leave(const std::string& why) {
  std::shared_ptr<runtime::Instance> instance;
  {
    std::lock_guard lock(mutex_);
    instance = std::exchange(instance_, nullptr);
  }
  if (instance != nullptr) {
    instance->stop(Error(Code::kUnavailable, load_.model_name + " stopped: rank 0 " + why));
  }
  if (follower_.joinable()) {
    group_->fail("it " + why);
    follower_.join();
    group_ = nullptr;
  }
  rendezvous_ = nullptr;
}

Result<std::string> Rank::connect(const GroupConnect& connect) {
  HEARTH_RETURN_IF_ERROR(
      enter(State::kPrepared, State::kConnecting, "this runner was not prepared for a group"));
  auto carriers = join(connect);
  enter(carriers.ok() ? State::kConnected : State::kLoaded);
  return carriers;
}

Result<std::string> Rank::join(const GroupConnect& connect) {
  if (static_cast<int>(connect.addresses.size()) != seat_.world_size) {
    return Error(Code::kInvalidArgument, fmt::format("{} addresses for a group of {}",
                                                     connect.addresses.size(), seat_.world_size));
  }
  HEARTH_TRY(std::unique_ptr<fabric::Group> group,
             fabric::Group::join(std::move(rendezvous_), {.rank = seat_.rank,
                                                          .addresses = connect.addresses,
                                                          .token = connect.token,
                                                          .transport = connect.transport,
                                                          .stop = joining_.get_token()}));
  std::string carriers = fabric::carriers(*group);
  if (seat_.rank > 0) {
    follow(std::move(group), connect.team);
  } else {
    HEARTH_RETURN_IF_ERROR(lead(std::move(group), connect.team));
  }
  return carriers;
}

void Rank::follow(std::unique_ptr<fabric::Group> group, const fabric::TeamOptions& team) {
  group_ = std::move(group);
  follower_ = std::thread([this, team, epoch = seat_.epoch] {
    on_group_failure_(epoch, runtime::follow(*model_, *group_, team));
  });
}

Result<void> Rank::lead(std::unique_ptr<fabric::Group> group, const fabric::TeamOptions& team) {
  if (tokenizer_ == nullptr) {
    return Error(Code::kInvalidArgument,
                 fmt::format("layers {} to {} are no part for rank 0", load_.shard.layer_begin,
                             load_.shard.layer_end));
  }
  HEARTH_TRY(auto instance, runtime::Instance::start(
                                {.name = load_.model_name,
                                 .files = files_.get(),
                                 .tokenizer = tokenizer_,
                                 .model = model_,
                                 .group = std::move(group),
                                 .team = team,
                                 .on_failure = [this, epoch = seat_.epoch](const Error& error) {
                                   on_group_failure_(epoch, error);
                                 }}));
  std::lock_guard lock(mutex_);
  instance_ = std::move(instance);
  return {};
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
