#include "daemon/instance_status.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::daemon {
namespace {

using cluster::RunnerStatus;
using cluster::RunnerView;

// Ranks of a stage hold a part of each of its layers: `slices` of them make whole ones.
std::string loading_message(const std::vector<const RunnerView*>& runners, int slices) {
  int loaded = 0;
  int total = 0;
  for (const RunnerView* runner : runners) {
    if (runner == nullptr) continue;
    loaded += runner->layers_loaded;
    total += runner->layers_total;
  }
  if (loaded >= total) return "";
  return fmt::format("{} of {} layers loaded", loaded / slices, total / slices);
}

}  // namespace

std::string_view to_string(InstanceStatus status) {
  switch (status) {
    case InstanceStatus::kPlacing:
      return "placing";
    case InstanceStatus::kWaiting:
      return "waiting";
    case InstanceStatus::kLoading:
      return "loading";
    case InstanceStatus::kReady:
      return "ready";
    case InstanceStatus::kFailed:
      return "failed";
  }
  return "placing";
}

InstanceSummary summarize(const cluster::ClusterView& view, const cluster::InstanceView& instance) {
  InstanceSummary summary{.message = instance.message};
  if (instance.plan.empty()) {
    summary.status = instance.message.empty() ? InstanceStatus::kPlacing : InstanceStatus::kWaiting;
    return summary;
  }
  summary.runners.resize(instance.plan.ranks.size(), nullptr);
  for (const RunnerView& runner : view.runners) {
    const bool current = runner.instance == instance.id && runner.epoch == instance.plan.epoch &&
                         runner.rank >= 0 &&
                         runner.rank < static_cast<int>(summary.runners.size()) &&
                         instance.plan.ranks[runner.rank].device == runner.device;
    if (current) summary.runners[runner.rank] = &runner;
  }
  const auto has = [](RunnerStatus status) {
    return [status](const RunnerView* runner) {
      return runner != nullptr && runner->status == status;
    };
  };
  const auto failed = std::ranges::find_if(summary.runners, has(RunnerStatus::kFailed));
  if (failed != summary.runners.end()) {
    summary.status = InstanceStatus::kFailed;
    summary.message = fmt::format("{}: {}", view.name_of((*failed)->device), (*failed)->error);
  } else if (std::ranges::all_of(summary.runners, has(RunnerStatus::kReady))) {
    summary.status = InstanceStatus::kReady;
    summary.message.clear();
  } else {
    summary.status = InstanceStatus::kLoading;
    if (summary.message.empty())
      summary.message = loading_message(summary.runners, instance.plan.slices);
  }
  return summary;
}

}  // namespace hearth::daemon
