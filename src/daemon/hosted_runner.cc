#include "daemon/hosted_runner.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "daemon/model_catalog.h"
#include "daemon/remote_generator.h"
#include "daemon/runner_process.h"
#include "fabric/wire_precision.h"

namespace hearth::daemon {
namespace {

using cluster::RunnerStatus;
using cluster::RunnerView;

constexpr std::chrono::milliseconds kProgressInterval(250);

}  // namespace

HostedRunner::HostedRunner(const RunnerSettings& settings, const StartRunner& start,
                           std::function<void()> changed)
    : settings_(settings),
      instance_(start.instance),
      part_(start.part),
      changed_(std::move(changed)),
      seat_(start.seat) {
  local_.view = {.device = settings_.device,
                 .instance = instance_,
                 .epoch = seat_.epoch,
                 .rank = seat_.rank,
                 .status = RunnerStatus::kStarting,
                 .layers_total = part_.layer_end - part_.layer_begin};
  local_.part = part_;
  thread_ = std::thread([this] { run(); });
}

HostedRunner::~HostedRunner() {
  stop();
  thread_.join();
}

LocalRunner HostedRunner::local() const {
  std::lock_guard lock(mutex_);
  return local_;
}

bool HostedRunner::gone() const {
  std::lock_guard lock(mutex_);
  return gone_;
}

std::shared_ptr<runtime::Generator> HostedRunner::generator() const {
  std::lock_guard lock(mutex_);
  return generator_;
}

void HostedRunner::renew(const Seat& seat) {
  std::stop_source over;
  {
    std::lock_guard lock(mutex_);
    if (process_failed_) return;
    seat_ = seat;
    over = std::exchange(turn_, std::stop_source());
    local_.view.epoch = seat.epoch;
    local_.view.rank = seat.rank;
    if (local_.view.status != RunnerStatus::kLoading) local_.view.status = RunnerStatus::kStarting;
    local_.view.rendezvous_port = 0;
    local_.view.error.clear();
    local_.connect_asked = false;
    connect_order_ = std::nullopt;
    generator_ = nullptr;
    wake_.notify_all();
  }
  over.request_stop();  // makes a connect in flight return
}

void HostedRunner::connect(const ConnectRunner& order) {
  std::lock_guard lock(mutex_);
  local_.connect_asked = true;
  connect_order_ = order;
  wake_.notify_all();
}

void HostedRunner::stop() {
  std::shared_ptr<RunnerProcess> process;
  {
    std::lock_guard lock(mutex_);
    local_.stopping = true;
    process = process_;
    wake_.notify_all();
  }
  // Makes a load or connect in flight return.
  if (process != nullptr) process->kill();
}

void HostedRunner::update(int64_t epoch, const std::function<void(RunnerView*)>& change) {
  {
    std::lock_guard lock(mutex_);
    if (epoch != seat_.epoch || local_.view.status == RunnerStatus::kFailed) return;
    change(&local_.view);
  }
  changed_();
}

// REQUIRES mutex_ held.
void HostedRunner::fail_locked(const Error& error) {
  local_.view.status = RunnerStatus::kFailed;
  local_.view.error = error.message();
  generator_ = nullptr;
  wake_.notify_all();
  log::info("{} rank {}: {}", part_.model, seat_.rank, error.message());
}

void HostedRunner::fail_group(int64_t epoch, const Error& error) {
  {
    std::lock_guard lock(mutex_);
    const bool failed = local_.view.status == RunnerStatus::kFailed;
    if (local_.stopping || epoch != seat_.epoch || failed) return;
    fail_locked(error);
  }
  changed_();
}

void HostedRunner::fail_process(const Error& error) {
  {
    std::lock_guard lock(mutex_);
    if (local_.stopping || process_failed_) return;
    process_failed_ = true;
    local_.view.layers_loaded = 0;
    fail_locked(error);
  }
  changed_();
}

void HostedRunner::report_progress(int layers_done, int layers_total) {
  const auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(mutex_);
    if (process_failed_) return;
    local_.view.status = RunnerStatus::kLoading;
    local_.view.layers_loaded = layers_done;
    local_.view.layers_total = layers_total;
    if (layers_done < layers_total && now - progress_told_ < kProgressInterval) return;
    progress_told_ = now;
  }
  changed_();
}

Result<std::shared_ptr<RunnerProcess>> HostedRunner::spawn() {
  HEARTH_TRY(std::shared_ptr<RunnerProcess> process,
             RunnerProcess::spawn(
                 {.name = fmt::format("{}/{}", part_.model, local().view.rank),
                  .program = settings_.program,
                  .on_exit = [this](const Error& error) { fail_process(error); },
                  .on_group_failure = [this](int64_t epoch,
                                             const Error& error) { fail_group(epoch, error); },
                  .on_layer_times =
                      [this](const engine::LayerTimes& times) {
                        settings_.catalog->keep(part_.model, part_.kv, times);
                      }}));
  std::lock_guard lock(mutex_);
  process_ = process;
  if (local_.stopping) return Error(Code::kCancelled, "stopped while starting");
  return process;
}

Result<std::shared_ptr<RunnerProcess>> HostedRunner::load() {
  HEARTH_TRY(const std::string path, settings_.catalog->path_of(part_.model));
  const std::optional<engine::KvType> kv = engine::parse_kv_type(part_.kv);
  if (!kv.has_value()) {
    return Error(
        Code::kUnsupported,
        fmt::format("this device does not know KV caches of '{}': update its Hearth", part_.kv));
  }
  HEARTH_TRY(const std::shared_ptr<RunnerProcess> process, spawn());
  const RankLoad load{.instance = instance_,
                      .model_name = part_.model,
                      .model_path = path,
                      .shard = {.layer_begin = part_.layer_begin,
                                .layer_end = part_.layer_end,
                                .slice = part_.slice,
                                .shares = part_.shares},
                      .threads = settings_.threads,
                      .quantize = settings_.quantize,
                      .kv = *kv,
                      .bind_host = settings_.bind_host};
  report_progress(0, load.shard.layers());
  HEARTH_RETURN_IF_ERROR(
      process->load(load, [this](int done, int total) { report_progress(done, total); }));
  return process;
}

std::optional<HostedRunner::Turn> HostedRunner::next_turn() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock,
             [this] { return local_.stopping || process_failed_ || seat_.epoch != epoch_taken_; });
  if (local_.stopping || process_failed_) return std::nullopt;
  epoch_taken_ = seat_.epoch;
  return Turn{seat_, turn_.get_token()};
}

void HostedRunner::take(const Turn& turn, RunnerProcess& process) {
  const int64_t epoch = turn.seat.epoch;
  const auto port = process.prepare(turn.seat);
  if (!port.ok()) return fail_process(port.error());
  update(epoch, [&port](RunnerView* view) {
    view->status = RunnerStatus::kLoaded;
    view->layers_loaded = view->layers_total;
    view->rendezvous_port = *port;
  });
  const auto carriers = join(turn, process);
  if (!carriers.ok()) return fail_group(epoch, carriers.error());
  log::info("{} rank {} of {} is ready (messages by {})", part_.model, turn.seat.rank,
            turn.seat.world_size, *carriers);
  update(epoch, [&](RunnerView* view) {
    view->carriers = *carriers;
    view->status = RunnerStatus::kReady;
    if (turn.seat.rank == 0) generator_ = runner_generator(process.channel());
  });
}

Result<std::string> HostedRunner::join(const Turn& turn, RunnerProcess& process) {
  HEARTH_TRY(const ConnectRunner order, wait_for_connect_order(turn));
  const auto wire = fabric::parse_wire_precision(order.wire);
  if (!wire.has_value()) {
    return Error(
        Code::kUnsupported,
        fmt::format("this device does not know sums of '{}': update its Hearth", order.wire));
  }
  update(turn.seat.epoch, [](RunnerView* view) { view->status = RunnerStatus::kConnecting; });
  return process.connect({.addresses = order.addresses,
                          .token = order.token,
                          .transport = settings_.transport,
                          .team = {.wire = *wire}},
                         turn.over);
}

Result<ConnectRunner> HostedRunner::wait_for_connect_order(const Turn& turn) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] {
    return connect_order_.has_value() || local_.stopping || process_failed_ ||
           seat_.epoch != turn.seat.epoch;
  });
  if (seat_.epoch != turn.seat.epoch || !connect_order_.has_value()) {
    return Error(Code::kCancelled, "stopped before connecting");
  }
  return *connect_order_;
}

void HostedRunner::run() {
  if (const auto loaded = load(); loaded.ok()) {
    while (const auto turn = next_turn()) take(*turn, **loaded);
  } else {
    fail_process(loaded.error());
  }
  std::shared_ptr<RunnerProcess> process;
  {
    std::lock_guard lock(mutex_);
    process = std::exchange(process_, nullptr);
    generator_ = nullptr;
  }
  // A process that failed gives its memory back before anybody asks; its record stays to be
  // reported. Requests at work may hold the channel, never the process.
  if (process != nullptr) process->kill();
  process = nullptr;
  {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return local_.stopping; });
    gone_ = true;
  }
  changed_();
}

}  // namespace hearth::daemon
