// What an instance is doing, told from its plan and from what its runners report.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cluster/view.h"

namespace hearth::daemon {

enum class InstanceStatus {
  kPlacing,  // not planned yet
  kWaiting,  // no plan fits the devices that are there
  kLoading,  // planned; its runners start, load or connect
  kReady,    // answers
  kFailed,   // a runner of the current plan failed; a new plan follows
};

// "placing", "waiting", "loading", "ready", "failed"
std::string_view to_string(InstanceStatus status);

struct InstanceSummary {
  InstanceStatus status = InstanceStatus::kPlacing;
  std::string message;  // for people; may be empty
  // By rank; nullptr where nothing was reported. Point into the view.
  std::vector<const cluster::RunnerView*> runners;
};

// REQUIRES: `instance` is of `view`, which outlives the summary.
InstanceSummary summarize(const cluster::ClusterView& view, const cluster::InstanceView& instance);

}  // namespace hearth::daemon
