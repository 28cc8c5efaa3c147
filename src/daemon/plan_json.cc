#include "daemon/plan_json.h"

#include <nlohmann/json.hpp>

#include "cluster/links.h"
#include "cluster/prediction.h"

namespace hearth::daemon {
namespace {

using Json = nlohmann::ordered_json;
using cluster::ClusterView;
using cluster::DeviceFacts;
using cluster::LinkFacts;

Json number_or_null(double value) { return value > 0 ? Json(value) : Json(nullptr); }

Json link_json(const DeviceFacts& from, const LinkFacts& link, const ClusterView& view) {
  const auto to = view.devices.find(link.to);
  const bool usable = link.up() && to != view.devices.end();
  return {{"to", link.to.str()},
          {"host", link.host},
          {"localHost", link.local_host},
          {"interface", link.interface},
          {"kind", link.kind},
          {"rdmaPorts", link.rdma_ports},
          {"latencyUs", number_or_null(static_cast<double>(link.latency_ns) / 1000)},
          {"bitsPerSecond", link.bits_per_second},
          {"carriedBy", usable ? Json(carried_by(from, link, to->second.facts)) : Json(nullptr)},
          {"error", link.up() ? Json(nullptr) : Json(link.error)}};
}

Json times_json(const cluster::ModelFacts& model) {
  Json all = Json::object();
  for (const auto& [kv, times] : model.token_times) {
    all[kv] = {{"layersNs", times.layers_ns},
               {"embeddingNs", times.embedding_ns},
               {"headNs", times.head_ns}};
  }
  return all;
}

// The messages of a plan between two of its ranks, and the link that they take.
class PlanLinks {
 public:
  PlanLinks(const ClusterView& view, const cluster::Plan& plan) : view_(view), plan_(plan) {}

  Json json() {
    const int slices = plan_.slices;
    const int world_size = static_cast<int>(plan_.ranks.size());
    for (int rank = 0; rank < world_size; ++rank) {
      for (int other = rank + 1; other / slices == rank / slices; ++other) add(rank, other, "sums");
      if (rank + slices < world_size) add(rank, rank + slices, "hidden states");
    }
    if (plan_.stages() > 1) add(world_size - slices, 0, "tokens");
    return std::move(links_);
  }

 private:
  const DeviceFacts* facts_of(int rank) const {
    const auto found = view_.devices.find(plan_.ranks[static_cast<size_t>(rank)].device);
    return found == view_.devices.end() ? nullptr : &found->second.facts;
  }

  void add(int from, int to, const char* carries) {
    Json entry = {{"fromRank", from}, {"toRank", to}, {"carries", carries}, {"link", nullptr}};
    const DeviceFacts* a = facts_of(from);
    const DeviceFacts* b = facts_of(to);
    const LinkFacts* link = a == nullptr || b == nullptr ? nullptr : link_between(*a, *b);
    if (link != nullptr) entry["link"] = link_json(link->to == b->id ? *a : *b, *link, view_);
    links_.push_back(std::move(entry));
  }

  const ClusterView& view_;
  const cluster::Plan& plan_;
  Json links_ = Json::array();
};

}  // namespace

Json links_json(const ClusterView& view) {
  Json links = Json::object();
  for (const auto& [id, device] : view.devices) {
    Json from_here = Json::array();
    for (const LinkFacts& link : device.facts.links) {
      from_here.push_back(link_json(device.facts, link, view));
      from_here.back()["chosen"] = &link == best_link(device.facts, link.to);
    }
    links[id.str()] = std::move(from_here);
  }
  return links;
}

Json speeds_json(const ClusterView& view) {
  Json speeds = Json::object();
  for (const auto& [id, device] : view.devices) {
    Json models = Json::object();
    for (const cluster::ModelFacts& model : device.facts.models) {
      if (!model.token_times.empty()) models[model.id] = times_json(model);
    }
    speeds[id.str()] = {{"memoryBytesPerSecond", device.facts.memory_bytes_per_second},
                        {"multiplyAddsPerSecond", device.facts.multiply_adds_per_second},
                        {"tokenTimes", std::move(models)}};
  }
  return speeds;
}

Json plan_json(const ClusterView& view, const cluster::Plan& plan) {
  if (plan.empty()) return nullptr;
  Json ranks = Json::array();
  for (size_t rank = 0; rank < plan.ranks.size(); ++rank) {
    const cluster::RankPlan& shard = plan.ranks[rank];
    ranks.push_back({{"rank", rank},
                     {"device", shard.device.str()},
                     {"stage", rank / static_cast<size_t>(plan.slices)},
                     {"slice", rank % static_cast<size_t>(plan.slices)},
                     {"startLayer", shard.layer_begin},
                     {"endLayer", shard.layer_end},
                     {"share", shard.share},
                     {"wire", shard.wire},
                     {"memory", {{"inBytes", shard.memory_bytes}}}});
  }
  const double token = static_cast<double>(plan.token_ns) * 1e-9;
  return {{"stages", plan.stages()},
          {"slices", plan.slices},
          {"cutBy", plan.cut_by.empty() ? Json(nullptr) : Json(plan.cut_by)},
          {"tokensPerSecond", number_or_null(token > 0 ? 1 / token : 0)},
          {"firstTokenSeconds", number_or_null(static_cast<double>(plan.first_token_ns) * 1e-9)},
          {"promptTokens", cluster::kPredictedPromptTokens},
          {"ranks", std::move(ranks)},
          {"links", PlanLinks(view, plan).json()}};
}

}  // namespace hearth::daemon
