// The coordinator's part: turns wanted instances into plans, and plans anew when ranks or devices
// fail. Sans-I/O, part of the core.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "cluster/placement.h"
#include "cluster/view.h"

namespace hearth::cluster {

inline constexpr Duration kRetryMin = std::chrono::milliseconds(500);
inline constexpr Duration kRetryMax = std::chrono::seconds(30);
// So long after a device came, plans wait for what measures it and its links.
inline constexpr Duration kMeasuringTime = std::chrono::seconds(10);

// Not thread-safe: belongs to the core.
class Planner {
 public:
  explicit Planner(std::function<std::string(int bytes)> random_hex)
      : random_hex_(std::move(random_hex)) {}

  // The instances that are to be written, changed. Called by the coordinator only. `changed`: the
  // view is another than at the last call. `lost`: a planned device that is to be replaced.
  std::vector<InstanceView> tick(TimePoint now, int64_t unix_ms, const ClusterView& view,
                                 bool changed, const std::function<bool(const DeviceId&)>& lost);

 private:
  struct Retry {
    int64_t epoch = 0;  // that failed
    TimePoint at{};
  };

  // Notes who is online. Whether a device's measuring time is over since the last tick.
  bool meet(TimePoint now, const ClusterView& view);
  // The measurement for which the plan waits; empty: none.
  std::string awaited(const Plan& plan, const PlacementRequest& request,
                      const ClusterView& view) const;
  bool wait_or_plan(InstanceView& instance, int64_t unix_ms, const ClusterView& view);
  bool review_runners(InstanceView& instance, TimePoint now, int64_t unix_ms,
                      const ClusterView& view);
  // Gives the instance a new plan, or none and the reason.
  void plan(InstanceView& instance, int64_t unix_ms, const ClusterView& view);

  const std::function<std::string(int bytes)> random_hex_;
  std::map<InstanceId, Retry> retries_;
  TimePoint now_{};
  std::map<DeviceId, TimePoint> measured_by_;  // when to wait no longer; of devices that are online
};

}  // namespace hearth::cluster
