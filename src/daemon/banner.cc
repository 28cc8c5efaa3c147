#include "daemon/banner.h"

#include <fmt/format.h>

#include "base/host_port.h"
#include "daemon/address.h"
#include "daemon/instance_status.h"

namespace hearth::daemon {
namespace {

using cluster::ClusterView;
using cluster::InstanceView;

// A host that a browser on this machine can open, whatever the server is bound to.
std::string browser_host(const std::string& listen) {
  const bool everywhere = listen == "0.0.0.0" || listen == "::" || listen.empty();
  return everywhere ? "localhost" : listen;
}

std::string places(const ClusterView& view, const InstanceView& instance) {
  std::string text;
  for (const cluster::RankPlan& rank : instance.plan.ranks) {
    text += fmt::format("{}{} (layers {}-{})", text.empty() ? "" : ", ", view.name_of(rank.device),
                        rank.layer_begin, rank.layer_end - 1);
  }
  return text;
}

std::string describe(const ClusterView& view, const InstanceView& instance) {
  const InstanceSummary summary = summarize(view, instance);
  switch (summary.status) {
    case InstanceStatus::kPlacing:
      return fmt::format("{} is being placed", instance.model);
    case InstanceStatus::kWaiting:
      return fmt::format("{} waits: {}", instance.model, summary.message);
    case InstanceStatus::kLoading:
      return fmt::format("{} is loading on {}", instance.model, places(view, instance));
    case InstanceStatus::kReady:
      return fmt::format("{} is ready on {}", instance.model, places(view, instance));
    case InstanceStatus::kFailed:
      return fmt::format("{} failed: {}", instance.model, summary.message);
  }
  return {};
}

}  // namespace

std::string banner(const BannerFacts& facts, const ClusterView& view) {
  const std::string url =
      fmt::format("http://{}", join_host_port(browser_host(facts.listen), facts.port));
  std::string text = fmt::format("\nHearth {}\n\n", facts.version);
  const auto line = [&text](const char* what, const std::string& value) {
    text += fmt::format("  {:<11}{}\n", what, value);
  };
  line("device", fmt::format("{} ({})", view.name_of(view.self), view.self.brief()));
  line("cluster",
       fmt::format("{}, open to devices of this name on your network", view.cluster_name));
  line("discovery", facts.discovery);
  line("dashboard", url);
  line("API", url + "/v1");
  return text + "\n  Ctrl-C stops this device.\n\n";
}

std::vector<std::string> Narrator::tell(const ClusterView& view) {
  std::vector<std::string> lines;
  for (const auto& [id, device] : view.devices) {
    const bool online = device.status != cluster::DeviceStatus::kOffline;
    if (id == view.self || online == online_.contains(id)) continue;
    const std::string who = fmt::format("{} ({})", view.name_of(id), id.brief());
    if (online) {
      online_.insert(id);
      const std::string where = split_address(device.reachable_at).host;
      lines.push_back("found " + who + (where.empty() ? "" : " at " + where));
    } else {
      online_.erase(id);
      lines.push_back(who + " is gone");
    }
  }
  for (const auto& [id, instance] : view.instances) {
    Told now{.model = instance.model, .line = describe(view, instance)};
    Told& told = instances_[id];
    if (now.line != told.line) lines.push_back(now.line);
    told = std::move(now);
  }
  std::erase_if(instances_, [&](const auto& item) {
    if (view.instances.contains(item.first)) return false;
    lines.push_back(item.second.model + " is stopped");
    return true;
  });
  return lines;
}

}  // namespace hearth::daemon
