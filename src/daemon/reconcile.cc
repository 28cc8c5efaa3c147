#include "daemon/reconcile.h"

#include <algorithm>
#include <optional>

#include "base/host_port.h"
#include "cluster/links.h"
#include "daemon/address.h"

namespace hearth::daemon {
namespace {

using cluster::ClusterView;
using cluster::InstanceView;
using cluster::RunnerStatus;
using cluster::RunnerView;

bool planned_here(const ClusterView& view, const RunnerView& runner) {
  const auto instance = view.instances.find(runner.instance);
  if (instance == view.instances.end()) return false;
  const cluster::Plan& plan = instance->second.plan;
  return plan.epoch == runner.epoch && runner.rank >= 0 &&
         runner.rank < static_cast<int>(plan.ranks.size()) &&
         plan.ranks[runner.rank].device == view.self;
}

// Of the ranks of a stage; empty where each stage has one rank.
std::vector<double> shares_of(const cluster::Plan& plan, int stage) {
  std::vector<double> shares;
  if (plan.slices == 1) return shares;
  for (int slice = 0; slice < plan.slices; ++slice) {
    shares.push_back(plan.ranks[static_cast<size_t>(stage * plan.slices + slice)].share);
  }
  return shares;
}

ModelPart part_of(const InstanceView& instance, int rank) {
  const cluster::Plan& plan = instance.plan;
  const cluster::RankPlan& shard = plan.ranks[static_cast<size_t>(rank)];
  return {.model = instance.model,
          .kv = instance.kv,
          .layer_begin = shard.layer_begin,
          .layer_end = shard.layer_end,
          .slice = rank % plan.slices,
          .shares = shares_of(plan, rank / plan.slices)};
}

Seat seat_of(const cluster::Plan& plan, int rank) {
  return {.epoch = plan.epoch, .rank = rank, .world_size = static_cast<int>(plan.ranks.size())};
}

// Where a runner that lives goes on with what it has loaded or is loading.
std::optional<Seat> next_seat(const ClusterView& view, const LocalRunner& runner) {
  const auto instance = view.instances.find(runner.view.instance);
  const bool lives = runner.view.status != RunnerStatus::kFailed || runner.view.holds_weights();
  if (instance == view.instances.end() || !lives) return std::nullopt;
  const cluster::Plan& plan = instance->second.plan;
  if (plan.epoch <= runner.view.epoch) return std::nullopt;
  for (int rank = 0; rank < static_cast<int>(plan.ranks.size()); ++rank) {
    const bool here = plan.ranks[static_cast<size_t>(rank)].device == view.self;
    if (here && part_of(instance->second, rank) == runner.part) return seat_of(plan, rank);
  }
  return std::nullopt;
}

// What is known of a rank: this device's own runners first-hand, the others' as they report
// themselves.
const RunnerView* find_rank(const ClusterView& view, const std::vector<LocalRunner>& local,
                            const InstanceView& instance, int rank) {
  const auto matches = [&](const RunnerView& runner) {
    return runner.instance == instance.id && runner.epoch == instance.plan.epoch &&
           runner.rank == rank;
  };
  if (instance.plan.ranks[rank].device == view.self) {
    const auto own = std::ranges::find_if(local, matches, &LocalRunner::view);
    return own == local.end() ? nullptr : &own->view;
  }
  const auto other = std::ranges::find_if(view.runners, [&](const RunnerView& runner) {
    return matches(runner) && runner.device == instance.plan.ranks[rank].device;
  });
  return other == view.runners.end() ? nullptr : &*other;
}

bool is_loaded(RunnerStatus status) {
  return status == RunnerStatus::kLoaded || status == RunnerStatus::kConnecting ||
         status == RunnerStatus::kReady;
}

// Where this device reaches another: over the link that was measured to be the fastest. Nothing
// while the links are not measured; without any that is up, where the other answered last.
std::optional<std::string> host_of(const ClusterView& view, const DeviceId& id) {
  const auto self = view.devices.find(view.self);
  const auto device = view.devices.find(id);
  if (self == view.devices.end() || device == view.devices.end()) return std::nullopt;
  if (const auto* link = cluster::best_link(self->second.facts, id)) return link->host;
  if (!cluster::was_measured(self->second.facts, id)) return std::nullopt;
  if (device->second.reachable_at.empty()) return std::nullopt;
  return split_address(device->second.reachable_at).host;
}

// The rendezvous addresses of all ranks, or nothing while one is not loaded or not reachable.
std::optional<std::vector<std::string>> rendezvous(const ClusterView& view,
                                                   const std::vector<LocalRunner>& local,
                                                   const InstanceView& instance, int own_rank) {
  std::vector<std::string> addresses;
  for (int rank = 0; rank < static_cast<int>(instance.plan.ranks.size()); ++rank) {
    const RunnerView* runner = find_rank(view, local, instance, rank);
    if (runner == nullptr || !is_loaded(runner->status)) return std::nullopt;
    if (rank == own_rank) {
      addresses.emplace_back();
      continue;
    }
    if (runner->device == view.self) {
      addresses.push_back(join_host_port("127.0.0.1", runner->rendezvous_port));
      continue;
    }
    const std::optional<std::string> host = host_of(view, runner->device);
    if (!host.has_value()) return std::nullopt;
    addresses.push_back(join_host_port(*host, runner->rendezvous_port));
  }
  return addresses;
}

void plan_starts(const ClusterView& view, const std::vector<LocalRunner>& local,
                 const InstanceView& instance, std::vector<StartRunner>* starts) {
  for (int rank = 0; rank < static_cast<int>(instance.plan.ranks.size()); ++rank) {
    if (instance.plan.ranks[rank].device != view.self) continue;
    const bool occupied = std::ranges::any_of(local, [&](const LocalRunner& runner) {
      return runner.view.instance == instance.id &&
             (runner.view.epoch != instance.plan.epoch || runner.view.rank == rank);
    });
    if (occupied) continue;
    starts->push_back({.instance = instance.id,
                       .seat = seat_of(instance.plan, rank),
                       .part = part_of(instance, rank)});
  }
}

}  // namespace

Actions reconcile(const ClusterView& view, const std::vector<LocalRunner>& local) {
  Actions actions;
  for (const LocalRunner& runner : local) {
    if (runner.stopping) continue;
    const RunnerView& own = runner.view;
    if (const auto seat = next_seat(view, runner)) {
      actions.renew.push_back(
          {.instance = own.instance, .epoch = own.epoch, .rank = own.rank, .seat = *seat});
      continue;
    }
    if (!planned_here(view, own)) {
      actions.stop.push_back({.instance = own.instance, .epoch = own.epoch, .rank = own.rank});
      continue;
    }
    if (own.status != RunnerStatus::kLoaded || runner.connect_asked) continue;
    const InstanceView& instance = view.instances.at(own.instance);
    if (auto addresses = rendezvous(view, local, instance, own.rank)) {
      actions.connect.push_back({.instance = own.instance,
                                 .epoch = own.epoch,
                                 .rank = own.rank,
                                 .addresses = *std::move(addresses),
                                 .token = instance.plan.token,
                                 .wire = instance.plan.ranks[own.rank].wire});
    }
  }
  for (const auto& [id, instance] : view.instances) {
    plan_starts(view, local, instance, &actions.start);
  }
  return actions;
}

}  // namespace hearth::daemon
