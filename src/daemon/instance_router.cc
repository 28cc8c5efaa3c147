#include "daemon/instance_router.h"

#include <fmt/format.h>

#include <optional>

#include "cluster/cluster.h"
#include "daemon/instance_status.h"
#include "daemon/remote_generator.h"
#include "daemon/runner_host.h"

namespace hearth::daemon {
namespace {

using Counter = std::shared_ptr<std::atomic<int>>;

// A request that counts as long as it is at work.
class CountedGeneration final : public runtime::Generation {
 public:
  CountedGeneration(std::unique_ptr<runtime::Generation> inner, Counter counter)
      : counter_(std::move(counter)), inner_(std::move(inner)) {}
  ~CountedGeneration() override {
    inner_ = nullptr;
    counter_->fetch_sub(1);
  }

 private:
  const Counter counter_;
  std::unique_ptr<runtime::Generation> inner_;
};

class CountedGenerator final : public runtime::Generator {
 public:
  CountedGenerator(std::shared_ptr<runtime::Generator> inner, Counter counter)
      : inner_(std::move(inner)), counter_(std::move(counter)) {}

  std::unique_ptr<runtime::Generation> generate(runtime::GenerateRequest request,
                                                runtime::EventHandler handler) override {
    counter_->fetch_add(1);
    return std::make_unique<CountedGeneration>(
        inner_->generate(std::move(request), std::move(handler)), counter_);
  }

 private:
  const std::shared_ptr<runtime::Generator> inner_;
  const Counter counter_;
};

Error not_ready(const cluster::ClusterView& view, const cluster::InstanceView& instance) {
  const InstanceSummary summary = summarize(view, instance);
  std::string what;
  switch (summary.status) {
    case InstanceStatus::kPlacing:
      what = "is being placed";
      break;
    case InstanceStatus::kWaiting:
      what = "waits for devices";
      break;
    case InstanceStatus::kLoading:
      what = "is loading";
      break;
    case InstanceStatus::kReady:
      what = "is starting to answer";
      break;
    case InstanceStatus::kFailed:
      what = "failed and is being started again";
      break;
  }
  std::string message = fmt::format("'{}' {}", instance.model, what);
  if (!summary.message.empty()) message += " (" + summary.message + ")";
  return Error(Code::kUnavailable, message + "; try again shortly");
}

}  // namespace

Result<InstanceId> choose_instance(const cluster::ClusterView& view, const std::string& model,
                                   const std::function<int(const InstanceId&)>& load) {
  const cluster::InstanceView* unready = nullptr;
  std::optional<InstanceId> best;
  for (const auto& [id, instance] : view.instances) {
    if (instance.model != model && id.str() != model) continue;
    if (summarize(view, instance).status != InstanceStatus::kReady) {
      unready = &instance;
    } else if (!best.has_value() || load(id) < load(*best)) {
      best = id;
    }
  }
  if (best.has_value()) return *best;
  if (unready != nullptr) return not_ready(view, *unready);
  return Error(Code::kNotFound,
               fmt::format("no instance runs '{}'; POST /place_instance starts one", model));
}

InstanceRouter::Counter InstanceRouter::counter(const InstanceId& instance) {
  std::lock_guard lock(mutex_);
  Counter& counter = counters_[instance];
  if (counter == nullptr) counter = std::make_shared<std::atomic<int>>(0);
  return counter;
}

Result<std::shared_ptr<runtime::Generator>> InstanceRouter::find(const std::string& model) {
  const cluster::ClusterView view = cluster_->view();
  HEARTH_TRY(const InstanceId id, choose_instance(view, model, [this](const InstanceId& instance) {
               return counter(instance)->load();
             }));
  const cluster::InstanceView& instance = view.instances.at(id);
  const DeviceId& head = instance.plan.ranks.front().device;
  std::shared_ptr<runtime::Generator> generator;
  if (head == view.self) {
    generator = runners_->generator(id);
    if (generator == nullptr) return not_ready(view, instance);
  } else {
    HEARTH_TRY(auto channel, cluster_->channel(head));
    generator = device_generator(std::move(channel), id);
  }
  return std::shared_ptr<runtime::Generator>(
      std::make_shared<CountedGenerator>(std::move(generator), counter(id)));
}

Result<std::shared_ptr<runtime::Generator>> InstanceRouter::find_local(
    const InstanceId& instance) const {
  if (auto generator = runners_->generator(instance)) return generator;
  return Error(Code::kUnavailable,
               fmt::format("instance {} is not ready on this device", instance.brief()));
}

}  // namespace hearth::daemon
