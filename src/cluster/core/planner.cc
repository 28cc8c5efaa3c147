#include "cluster/core/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "cluster/core/measurements.h"
#include "cluster/token_costs.h"

namespace hearth::cluster {
namespace {

constexpr int kTokenBytes = 16;
constexpr int kFailuresMax = 1'000'000;

Duration backoff(int failures) {
  return std::min<Duration>(kRetryMax, kRetryMin * (int64_t{1} << std::clamp(failures, 0, 10)));
}

const RunnerView* runner_of(const ClusterView& view, const InstanceView& instance, size_t rank) {
  for (const RunnerView& runner : view.runners) {
    if (runner.instance == instance.id && runner.epoch == instance.plan.epoch &&
        runner.rank == static_cast<int>(rank) &&
        runner.device == instance.plan.ranks[rank].device) {
      return &runner;
    }
  }
  return nullptr;
}

// The devices with the memory that they will have for `instance`: what its present ranks hold
// returns, and what other instances have been promised and not yet taken is gone.
std::vector<DeviceView> devices_for(const InstanceView& instance, const ClusterView& view) {
  std::map<DeviceId, DeviceView> devices = view.devices;
  for (const auto& [id, other] : view.instances) {
    for (size_t rank = 0; rank < other.plan.ranks.size(); ++rank) {
      const auto device = devices.find(other.plan.ranks[rank].device);
      if (device == devices.end()) continue;
      const RunnerView* runner = runner_of(view, other, rank);
      const bool taken = runner != nullptr && runner->holds_weights();
      DeviceFacts& facts = device->second.facts;
      if (id == instance.id && taken) {
        facts.memory_available_bytes =
            std::min(facts.memory_total_bytes,
                     facts.memory_available_bytes + other.plan.ranks[rank].memory_bytes);
      } else if (id != instance.id && !taken) {
        facts.memory_available_bytes = std::max<int64_t>(
            0, facts.memory_available_bytes - other.plan.ranks[rank].memory_bytes);
      }
    }
  }
  std::vector<DeviceView> list;
  for (auto& [id, device] : devices) list.push_back(std::move(device));
  return list;
}

// The model as most online devices describe it; of equals, as the device with the least id does.
const ModelFacts* find_model(const std::string& name, const std::vector<DeviceView>& devices) {
  using Kind = std::tuple<int, int64_t, std::string, std::string>;
  std::map<Kind, int> votes;
  const ModelFacts* best = nullptr;
  const auto kind = [](const ModelFacts& model) {
    return Kind(model.layers, model.layer_bytes, model.architecture, model.encoding);
  };
  const auto for_each = [&](auto&& visit) {
    for (const DeviceView& device : devices) {
      if (device.status != DeviceStatus::kOnline) continue;
      for (const ModelFacts& model : device.facts.models) {
        if (model.id == name) visit(model);
      }
    }
  };
  for_each([&](const ModelFacts& model) { ++votes[kind(model)]; });
  for_each([&](const ModelFacts& model) {
    if (best == nullptr || votes[kind(model)] > votes[kind(*best)]) best = &model;
  });
  return best;
}

// Whether the present ranks could all run again where they are.
bool can_repeat(const Plan& plan, const ModelFacts& model, const ClusterView& view) {
  return !plan.empty() && std::ranges::all_of(plan.ranks, [&](const RankPlan& rank) {
    const auto device = view.devices.find(rank.device);
    return device != view.devices.end() && device->second.status == DeviceStatus::kOnline &&
           find_same(device->second.facts, model) != nullptr;
  });
}

}  // namespace

std::vector<InstanceView> Planner::tick(TimePoint now, int64_t unix_ms, const ClusterView& view,
                                        bool changed,
                                        const std::function<bool(const DeviceId&)>& lost) {
  std::erase_if(retries_, [&view](const auto& entry) {
    const auto found = view.instances.find(entry.first);
    return found == view.instances.end() || found->second.plan.epoch != entry.second.epoch;
  });
  const bool decide = meet(now, view) || changed;
  // With the plans made so far, so that the next one finds the memory promised. Copied when there
  // is one.
  std::optional<ClusterView> after;
  std::vector<InstanceView> written;
  for (const auto& [id, instance] : view.instances) {
    InstanceView next = instance;
    const ClusterView& present = after ? *after : view;
    bool write = false;
    if (instance.plan.empty()) {
      write = decide && wait_or_plan(next, unix_ms, present);
    } else if (std::any_of(instance.plan.ranks.begin(), instance.plan.ranks.end(),
                           [&lost](const RankPlan& rank) { return lost(rank.device); })) {
      plan(next, unix_ms, present);
      write = true;
    } else {
      write = review_runners(next, now, unix_ms, present);
    }
    if (!write) continue;
    if (!after) after = view;
    after->instances[id] = next;
    written.push_back(std::move(next));
  }
  return written;
}

bool Planner::meet(TimePoint now, const ClusterView& view) {
  const TimePoint before = std::exchange(now_, now);
  const auto is_online = [&view](const DeviceId& id) {
    const auto device = view.devices.find(id);
    return device != view.devices.end() && device->second.status == DeviceStatus::kOnline;
  };
  std::erase_if(measured_by_, [&](const auto& entry) { return !is_online(entry.first); });
  for (const auto& [id, device] : view.devices) {
    if (is_online(id)) measured_by_.try_emplace(id, now + kMeasuringTime);
  }
  return std::ranges::any_of(measured_by_, [&](const auto& entry) {
    return before < entry.second && entry.second <= now;
  });
}

std::string Planner::awaited(const Plan& plan, const PlacementRequest& request,
                             const ClusterView& view) const {
  const bool fresh = std::ranges::any_of(
      plan.ranks, [this](const RankPlan& rank) { return now_ < measured_by_.at(rank.device); });
  return fresh ? missing_measurement(plan, request, view) : "";
}

// Whether anything changed: it now has a plan, or waits for another reason.
bool Planner::wait_or_plan(InstanceView& instance, int64_t unix_ms, const ClusterView& view) {
  const std::string message = instance.message;
  plan(instance, unix_ms, view);
  return !instance.plan.empty() || instance.message != message;
}

bool Planner::review_runners(InstanceView& instance, TimePoint now, int64_t unix_ms,
                             const ClusterView& view) {
  bool ready = true;
  const RunnerView* failed = nullptr;
  for (size_t rank = 0; rank < instance.plan.ranks.size(); ++rank) {
    const RunnerView* runner = runner_of(view, instance, rank);
    ready = ready && runner != nullptr && runner->status == RunnerStatus::kReady;
    if (runner != nullptr && runner->status == RunnerStatus::kFailed && failed == nullptr) {
      failed = runner;
    }
  }
  if (ready && (instance.failures > 0 || !instance.message.empty())) {
    instance.failures = 0;
    instance.message.clear();
    return true;
  }
  if (failed == nullptr) return false;
  const auto [retry, fresh] = retries_.try_emplace(
      instance.id, Retry{instance.plan.epoch, now + backoff(instance.failures)});
  if (now >= retry->second.at) {
    instance.failures = std::min(instance.failures + 1, kFailuresMax);
    plan(instance, unix_ms, view);
    return true;
  }
  if (!fresh) return false;
  instance.message = fmt::format("rank {} on {} failed: {}; starting again", failed->rank,
                                 view.name_of(failed->device), failed->error);
  return true;
}

void Planner::plan(InstanceView& instance, int64_t unix_ms, const ClusterView& view) {
  const std::vector<DeviceView> devices = devices_for(instance, view);
  const bool ran_before = instance.plan.epoch > 0;
  const bool waited = instance.plan.empty();
  // The coordinator's clock, so that two coordinators that do not see each other never give one
  // epoch twice.
  const int64_t epoch = std::max(instance.plan.epoch + 1, unix_ms);
  // A plan with a lost device must not stay: the others would wait for it.
  const auto wait = [&](std::string message) {
    if (!instance.plan.empty()) instance.plan = Plan{.epoch = epoch};
    instance.message = std::move(message);
  };

  const ModelFacts* model = find_model(instance.model, devices);
  if (model == nullptr) {
    wait(fmt::format("no device that is online has the files of {}", instance.model));
    return;
  }
  // The first failure is mostly a process's or a link's: ranks that live keep what they have
  // loaded, if they get the same again.
  if (instance.failures == 1 && can_repeat(instance.plan, *model, view)) {
    instance.plan.epoch = epoch;
    instance.plan.token = random_hex_(kTokenBytes);
    return;
  }
  PlacementRequest request{.model = *model,
                           .min_devices = instance.min_devices,
                           .kv = instance.kv,
                           .sharding = instance.sharding};
  Result<Plan> plan = place(request, devices);
  // What ran once goes on with fewer devices than were asked for.
  for (int fewer = instance.min_devices - 1; ran_before && !plan && fewer >= 1; --fewer) {
    request.min_devices = fewer;
    if (auto smaller = place(request, devices)) plan = smaller;
  }
  if (!plan) {
    wait(plan.error().message());
    return;
  }
  if (const std::string what = awaited(*plan, request, view); !what.empty()) {
    wait(fmt::format("waiting until {} is measured", what));
    return;
  }
  instance.plan = std::move(*plan);
  instance.plan.epoch = epoch;
  instance.plan.token = random_hex_(kTokenBytes);
  // What failed last stays readable until it works.
  if (waited || instance.failures == 0) instance.message.clear();
}

}  // namespace hearth::cluster
