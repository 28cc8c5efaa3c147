#include "cluster/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/limits.h"
#include "base/units.h"

namespace hearth::cluster {
namespace {

// Weights need this much of their size: packed copies, activations and buffers come on top.
constexpr double kWeightsFactor = 1.2;

std::string count_of(int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Memory in doubles: hostile sizes must not overflow, and a byte more or less decides nothing.
struct Cost {
  double layer = 0;      // weights and KV cache of one layer
  double embedding = 0;  // of the first rank
  double head = 0;       // of the last

  static Cost of(const PlacementRequest& request) {
    const ModelFacts& model = request.model;
    const auto kv = model.kv_layer_bytes.find(request.kv);
    const int64_t kv_bytes = kv == model.kv_layer_bytes.end() ? 0 : kv->second;
    return {kWeightsFactor * static_cast<double>(model.layer_bytes) + static_cast<double>(kv_bytes),
            kWeightsFactor * static_cast<double>(model.embedding_bytes),
            kWeightsFactor * static_cast<double>(model.head_bytes)};
  }
  double fixed(size_t rank, size_t ranks) const {
    return (rank == 0 ? embedding : 0) + (rank + 1 == ranks ? head : 0);
  }
  double total(int layers) const { return layer * layers + embedding + head; }
};

bool holds(const DeviceView& device, const ModelFacts& model) {
  // The same name for different files on two devices does not make one model.
  return std::any_of(
      device.facts.models.begin(), device.facts.models.end(), [&](const ModelFacts& other) {
        return other.id == model.id && other.layers == model.layers &&
               other.architecture == model.architecture && other.encoding == model.encoding &&
               other.layer_bytes == model.layer_bytes;
      });
}

// Layers of each rank: shares of what lies in memory, at least one each and never more than fits,
// the rest to whom rounding took most from. Empty when they do not fit.
std::vector<int> share_layers(int layers, const std::vector<double>& memory, const Cost& cost) {
  const size_t ranks = memory.size();
  std::vector<int> room(ranks);  // layers that fit
  for (size_t i = 0; i < ranks; ++i) {
    const double left = memory[i] - cost.fixed(i, ranks);
    if (left < cost.layer) return {};
    room[i] =
        cost.layer > 0 ? static_cast<int>(std::min<double>(layers, left / cost.layer)) : layers;
  }
  if (std::accumulate(room.begin(), room.end(), int64_t{0}) < layers) return {};

  const double sum = std::accumulate(memory.begin(), memory.end(), 0.0);
  std::vector<double> wish(ranks);
  std::vector<int> share(ranks);
  for (size_t i = 0; i < ranks; ++i) {
    wish[i] = sum > 0 ? layers * memory[i] / sum : static_cast<double>(layers) / ranks;
    share[i] = std::clamp(static_cast<int>(wish[i]), 1, room[i]);
  }
  int left = layers - std::accumulate(share.begin(), share.end(), 0);
  for (; left != 0; left += left > 0 ? -1 : 1) {
    // Only ranks that can take (or give) one; of these the one furthest from its wish, the first of
    // equals.
    const int step = left > 0 ? 1 : -1;
    size_t best = ranks;
    for (size_t i = 0; i < ranks; ++i) {
      if (step > 0 ? share[i] >= room[i] : share[i] <= 1) continue;
      if (best == ranks || step * (wish[i] - share[i]) > step * (wish[best] - share[best]))
        best = i;
    }
    share[best] += step;
  }
  return share;
}

Plan to_plan(const std::vector<int>& share, const std::vector<const DeviceView*>& devices,
             const Cost& cost) {
  Plan plan;
  int begin = 0;
  for (size_t i = 0; i < share.size(); ++i) {
    const double bytes = cost.layer * share[i] + cost.fixed(i, share.size());
    plan.ranks.push_back(
        {devices[i]->facts.id, begin, begin + share[i], static_cast<int64_t>(bytes)});
    begin += share[i];
  }
  return plan;
}

Error too_few(const PlacementRequest& request, size_t online, size_t holding) {
  const std::string needs =
      fmt::format("{} needs {}", request.model.id, count_of(request.min_devices, "device"));
  if (online < static_cast<size_t>(request.min_devices)) {
    return Error(Code::kResourceExhausted,
                 fmt::format("{} and {} {} online", needs, online, online == 1 ? "is" : "are"));
  }
  return Error(Code::kResourceExhausted,
               fmt::format("{} and {} of the {} online {} its files", needs, holding, online,
                           holding == 1 ? "has" : "have"));
}

}  // namespace

Result<Plan> place(const PlacementRequest& request, const std::vector<DeviceView>& devices) {
  const ModelFacts& model = request.model;
  const bool cache_possible = std::ranges::all_of(
      model.kv_layer_bytes, [](const auto& cache) { return cache.second >= 0; });
  if (model.layers < 1 || model.layer_bytes < 0 || model.embedding_bytes < 0 ||
      model.head_bytes < 0 || !cache_possible) {
    return Error(Code::kInvalidArgument, fmt::format("{}: impossible sizes", model.id));
  }
  const int ranks_max = std::min(model.layers, limits::kRanksMax);
  if (request.min_devices < 1) {
    return Error(Code::kInvalidArgument, "a plan needs at least one device");
  }
  if (request.min_devices > ranks_max) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} has {} and can use {} at most, not {}", model.id,
                             count_of(model.layers, "layer"), count_of(ranks_max, "device"),
                             request.min_devices));
  }

  size_t online = 0;
  std::vector<const DeviceView*> usable;
  for (const DeviceView& device : devices) {
    if (device.status != DeviceStatus::kOnline) continue;
    ++online;
    if (holds(device, model)) usable.push_back(&device);
  }
  if (usable.size() < static_cast<size_t>(request.min_devices)) {
    return too_few(request, online, usable.size());
  }
  std::sort(usable.begin(), usable.end(), [](const DeviceView* a, const DeviceView* b) {
    if (a->facts.memory_available_bytes != b->facts.memory_available_bytes) {
      return a->facts.memory_available_bytes > b->facts.memory_available_bytes;
    }
    return a->facts.id < b->facts.id;
  });

  const Cost cost = Cost::of(request);
  const size_t most = std::min(usable.size(), static_cast<size_t>(ranks_max));
  std::vector<double> memory;
  for (size_t ranks = 1; ranks <= most; ++ranks) {
    memory.push_back(
        static_cast<double>(std::max<int64_t>(0, usable[ranks - 1]->facts.memory_available_bytes)));
    if (ranks < static_cast<size_t>(request.min_devices)) continue;
    const std::vector<int> share = share_layers(model.layers, memory, cost);
    if (!share.empty()) return to_plan(share, usable, cost);
  }
  const double available = std::accumulate(memory.begin(), memory.end(), 0.0);
  return Error(
      Code::kResourceExhausted,
      fmt::format("{} needs {} of memory and the {} that can hold it {} {} available", model.id,
                  format_bytes(static_cast<int64_t>(cost.total(model.layers))),
                  count_of(static_cast<int64_t>(most), "device"), most == 1 ? "has" : "have",
                  format_bytes(static_cast<int64_t>(available))));
}

}  // namespace hearth::cluster
