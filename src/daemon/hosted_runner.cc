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

HostedRunner::HostedRunner(const RunnerSettings& settings, StartRunner start,
                           std::function<void()> changed)
    : settings_(settings), start_(std::move(start)), changed_(std::move(changed)) {
  local_.view = {.device = settings_.device,
                 .instance = start_.instance,
                 .epoch = start_.epoch,
                 .rank = start_.rank,
                 .status = RunnerStatus::kStarting,
                 .layers_total = start_.layer_end - start_.layer_begin};
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

void HostedRunner::update(const std::function<void(RunnerView*)>& change) {
  {
    std::lock_guard lock(mutex_);
    if (local_.view.status == RunnerStatus::kFailed) return;
    change(&local_.view);
  }
  changed_();
}

void HostedRunner::fail(const Error& error) {
  {
    std::lock_guard lock(mutex_);
    if (local_.stopping || local_.view.status == RunnerStatus::kFailed) return;
    local_.view.status = RunnerStatus::kFailed;
    local_.view.error = error.message();
    generator_ = nullptr;
    wake_.notify_all();
  }
  log::info("{} rank {}: {}", start_.model, start_.rank, error.message());
  changed_();
}

void HostedRunner::report_progress(int layers_done, int layers_total) {
  const auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(mutex_);
    local_.view.layers_loaded = layers_done;
    local_.view.layers_total = layers_total;
    if (layers_done < layers_total && now - progress_told_ < kProgressInterval) return;
    progress_told_ = now;
  }
  changed_();
}

Result<std::shared_ptr<RunnerProcess>> HostedRunner::spawn() {
  const auto report = [this](const Error& error) { fail(error); };
  HEARTH_TRY(std::shared_ptr<RunnerProcess> process,
             RunnerProcess::spawn({.name = fmt::format("{}/{}", start_.model, start_.rank),
                                   .program = settings_.program,
                                   .on_exit = report,
                                   .on_group_failure = report,
                                   .on_layer_times = [this](const engine::LayerTimes& times) {
                                     settings_.catalog->keep(start_.model, start_.kv, times);
                                   }}));
  std::lock_guard lock(mutex_);
  process_ = process;
  if (local_.stopping) return Error(Code::kCancelled, "stopped while starting");
  return process;
}

Result<ConnectRunner> HostedRunner::wait_for_connect_order() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] {
    return connect_order_.has_value() || local_.stopping ||
           local_.view.status == RunnerStatus::kFailed;
  });
  if (!connect_order_.has_value()) return Error(Code::kCancelled, "stopped before connecting");
  return *connect_order_;
}

Result<void> HostedRunner::bring_up() {
  HEARTH_TRY(const std::string path, settings_.catalog->path_of(start_.model));
  const std::optional<engine::KvType> kv = engine::parse_kv_type(start_.kv);
  if (!kv.has_value()) {
    return Error(
        Code::kUnsupported,
        fmt::format("this device does not know KV caches of '{}': update its Hearth", start_.kv));
  }
  HEARTH_TRY(const std::shared_ptr<RunnerProcess> process, spawn());
  update([](RunnerView* view) { view->status = RunnerStatus::kLoading; });
  const RankLoad load{.instance = start_.instance,
                      .epoch = start_.epoch,
                      .model_name = start_.model,
                      .model_path = path,
                      .rank = start_.rank,
                      .world_size = start_.world_size,
                      .shard = {.layer_begin = start_.layer_begin,
                                .layer_end = start_.layer_end,
                                .slice = start_.slice,
                                .shares = start_.shares},
                      .threads = settings_.threads,
                      .quantize = settings_.quantize,
                      .kv = *kv,
                      .bind_host = settings_.bind_host};
  HEARTH_TRY(const int port,
             process->load(load, [this](int done, int total) { report_progress(done, total); }));
  update([port](RunnerView* view) {
    view->status = RunnerStatus::kLoaded;
    view->layers_loaded = view->layers_total;
    view->rendezvous_port = port;
  });

  HEARTH_TRY(const ConnectRunner order, wait_for_connect_order());
  const auto wire = fabric::parse_wire_precision(order.wire);
  if (!wire.has_value()) {
    return Error(
        Code::kUnsupported,
        fmt::format("this device does not know sums of '{}': update its Hearth", order.wire));
  }
  update([](RunnerView* view) { view->status = RunnerStatus::kConnecting; });
  HEARTH_TRY(const std::string carriers, process->connect({.addresses = order.addresses,
                                                           .token = order.token,
                                                           .transport = settings_.transport,
                                                           .team = {.wire = *wire}}));
  log::info("{} rank {} of {} is ready (messages by {})", start_.model, start_.rank,
            start_.world_size, carriers);
  update([this, &process, &carriers](RunnerView* view) {
    view->carriers = carriers;
    view->status = RunnerStatus::kReady;
    if (start_.rank == 0) generator_ = runner_generator(process->channel());
  });
  return {};
}

void HostedRunner::run() {
  if (const auto up = bring_up(); !up.ok()) fail(up.error());
  std::shared_ptr<RunnerProcess> process;
  {
    std::unique_lock lock(mutex_);
    wake_.wait(lock,
               [this] { return local_.stopping || local_.view.status == RunnerStatus::kFailed; });
    process = std::exchange(process_, nullptr);
    generator_ = nullptr;
  }
  // A failed runner gives its memory back before anybody asks; its record stays to be reported.
  // Requests at work may hold the channel, never the process.
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
