#include "daemon/runner_host.h"

#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "cluster/cluster.h"

namespace hearth::daemon {
namespace {

bool same(const cluster::RunnerView& a, const cluster::RunnerView& b) {
  const auto fields = [](const cluster::RunnerView& view) {
    return std::tie(view.instance, view.epoch, view.rank, view.status, view.layers_loaded,
                    view.layers_total, view.rendezvous_port, view.carriers, view.error);
  };
  return fields(a) == fields(b);
}

}  // namespace

RunnerHost::RunnerHost(cluster::Cluster* cluster, const RunnerSettings& settings)
    : cluster_(cluster), settings_(settings) {
  watch_ = cluster_->watch([this] { wake(); });
  thread_ = std::thread([this] { loop(); });
}

RunnerHost::~RunnerHost() {
  watch_ = nullptr;
  {
    std::lock_guard lock(wake_mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
  std::vector<std::unique_ptr<HostedRunner>> ending;
  {
    std::lock_guard lock(runners_mutex_);
    ending.swap(runners_);
  }
}

std::shared_ptr<runtime::Generator> RunnerHost::generator(const InstanceId& instance) const {
  std::lock_guard lock(runners_mutex_);
  for (const auto& runner : runners_) {
    if (runner->local().view.instance != instance) continue;
    if (auto generator = runner->generator()) return generator;
  }
  return nullptr;
}

void RunnerHost::wake() {
  std::lock_guard lock(wake_mutex_);
  woken_ = true;
  wake_.notify_all();
}

std::vector<LocalRunner> RunnerHost::local() const {
  std::lock_guard lock(runners_mutex_);
  std::vector<LocalRunner> local;
  for (const auto& runner : runners_) local.push_back(runner->local());
  return local;
}

HostedRunner* RunnerHost::find(const InstanceId& instance, int64_t epoch, int rank) {
  std::lock_guard lock(runners_mutex_);
  const auto found = std::ranges::find_if(runners_, [&](const auto& runner) {
    const cluster::RunnerView view = runner->local().view;
    return view.instance == instance && view.epoch == epoch && view.rank == rank;
  });
  return found == runners_.end() ? nullptr : found->get();
}

void RunnerHost::reap() {
  std::vector<std::unique_ptr<HostedRunner>> gone;
  std::lock_guard lock(runners_mutex_);
  std::erase_if(runners_, [&gone](std::unique_ptr<HostedRunner>& runner) {
    if (!runner->gone()) return false;
    gone.push_back(std::move(runner));
    return true;
  });
}

void RunnerHost::act(const Actions& actions) {
  // Only this thread adds and removes runners, so the pointers stay good outside the lock.
  for (const StopRunner& stop : actions.stop) {
    log::info("stopping rank {} of instance {}", stop.rank, stop.instance.brief());
    find(stop.instance, stop.epoch, stop.rank)->stop();
  }
  for (const RenewRunner& renew : actions.renew) {
    log::info("rank {} of instance {} goes over to a new group as rank {} of {}", renew.rank,
              renew.instance.brief(), renew.seat.rank, renew.seat.world_size);
    find(renew.instance, renew.epoch, renew.rank)->renew(renew.seat);
  }
  for (const ConnectRunner& connect : actions.connect) {
    find(connect.instance, connect.epoch, connect.rank)->connect(connect);
  }
  for (const StartRunner& start : actions.start) {
    log::info("starting rank {} of {} ({}), layers {} to {}", start.seat.rank,
              start.seat.world_size, start.part.model, start.part.layer_begin,
              start.part.layer_end);
    auto runner = std::make_unique<HostedRunner>(settings_, start, [this] { wake(); });
    std::lock_guard lock(runners_mutex_);
    runners_.push_back(std::move(runner));
  }
}

void RunnerHost::loop() {
  while (true) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait(lock, [this] { return woken_ || stopping_; });
      if (stopping_) return;
      woken_ = false;
    }
    reap();
    act(reconcile(cluster_->view(), local()));
    publish();
  }
}

void RunnerHost::publish() {
  std::vector<cluster::RunnerView> views;
  for (const LocalRunner& runner : local()) {
    if (!runner.stopping) views.push_back(runner.view);
  }
  if (std::ranges::equal(views, published_, same)) return;
  cluster_->set_runners(views);
  published_ = std::move(views);
}

}  // namespace hearth::daemon
