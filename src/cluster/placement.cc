#include "cluster/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "base/layer_cuts.h"
#include "base/limits.h"
#include "base/units.h"
#include "cluster/prediction.h"
#include "cluster/token_costs.h"
#include "fabric/wire_precision.h"

namespace hearth::cluster {
namespace {

// Weights need this much of their size: packed copies, activations and buffers come on top.
constexpr double kWeightsFactor = 1.2;

// Over faster links than this a tensor group is preferred whatever is predicted.
constexpr int64_t kTensorLinkBits = 40'000'000'000;

// Plans are compared by the time of a prompt of kPredictedPromptTokens and such an answer.
constexpr int kAnswerTokens = 128;

std::string count_of(int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Memory in doubles: hostile sizes must not overflow, and a byte more or less decides nothing.
struct Cost {
  double layer_weights = 0;
  double layer_cache = 0;
  double embedding = 0;  // of the first stage
  double head = 0;       // of the last

  static Cost of(const PlacementRequest& request) {
    const ModelFacts& model = request.model;
    const auto kv = model.kv_layer_bytes.find(request.kv);
    const int64_t kv_bytes = kv == model.kv_layer_bytes.end() ? 0 : kv->second;
    return {kWeightsFactor * static_cast<double>(model.layer_bytes), static_cast<double>(kv_bytes),
            kWeightsFactor * static_cast<double>(model.embedding_bytes),
            kWeightsFactor * static_cast<double>(model.head_bytes)};
  }
  double layer() const { return layer_weights + layer_cache; }
  double fixed(size_t stage, size_t stages) const {
    return (stage == 0 ? embedding : 0) + (stage + 1 == stages ? head : 0);
  }
  double total(int layers) const { return layer() * layers + embedding + head; }
};

std::vector<const DeviceFacts*> facts_of(std::span<const DeviceView* const> devices) {
  std::vector<const DeviceFacts*> facts;
  for (const DeviceView* device : devices) facts.push_back(&device->facts);
  return facts;
}

// Devices in the order of ranks: `slices` to a stage.
struct Grid {
  std::vector<const DeviceView*> devices;
  size_t slices = 1;

  size_t stages() const { return devices.size() / slices; }
  std::span<const DeviceView* const> stage(size_t index) const {
    return std::span(devices).subspan(index * slices, slices);
  }
};

double memory_of(const DeviceView& device) {
  return static_cast<double>(std::max<int64_t>(0, device.facts.memory_available_bytes));
}

// By what layers and shares are dealt out.
struct Measure {
  const char* name = kCutByMemory;              // Plan::cut_by
  std::function<double(const DeviceView&)> of;  // what a device has of it
  LayerCosts costs;                             // how much of that the model's parts take
};

Measure by_memory(const Cost& cost, const ModelFacts& model) {
  return {.name = kCutByMemory,
          .of = memory_of,
          .costs = {.layers = std::vector<double>(static_cast<size_t>(model.layers), cost.layer()),
                    .embedding = cost.embedding,
                    .head = cost.head}};
}

Measure by_speed(const TokenCosts& costs) {
  return {.name = costs.measured() ? kCutByTimes : kCutByBytes,
          .of = [&costs](const DeviceView& device) { return costs.speed(device.facts); },
          .costs = costs.costs()};
}

// What each rank of a stage does of it, in thousandths.
std::vector<int> shares_by(const Measure& measure, std::span<const DeviceView* const> stage) {
  double sum = 0;
  for (const DeviceView* device : stage) sum += measure.of(*device);
  std::vector<int> shares;
  for (const DeviceView* device : stage) {
    const double part =
        sum > 0 ? measure.of(*device) / sum : 1.0 / static_cast<double>(stage.size());
    shares.push_back(std::max(1, static_cast<int>(std::lround(part * 1000))));
  }
  return shares;
}

// Of the KV cache: ranks that share a key-value head all keep it.
double cache_part(double part, int kv_heads) {
  if (kv_heads < 1) return 1;
  return std::min(1.0, std::ceil(part * kv_heads - 1e-9) / kv_heads);
}

// One way to give the ranks of a grid their layers.
class Cut {
 public:
  Cut(const Grid& grid, const PlacementRequest& request, const Measure& measure)
      : grid_(grid), model_(request.model), cost_(Cost::of(request)), measure_(measure) {
    for (size_t stage = 0; stage < grid.stages(); ++stage) {
      shares_.push_back(shares_by(measure, grid.stage(stage)));
    }
  }

  // Nothing when the layers do not fit.
  std::optional<Plan> plan() const {
    std::vector<StageRank> stages;
    int64_t room = 0;
    for (size_t stage = 0; stage < grid_.stages(); ++stage) {
      double speed = 0;
      for (const DeviceView* device : grid_.stage(stage)) speed += measure_.of(*device);
      stages.push_back({.speed = std::max(speed, 1.0), .layers_max = layers_max(stage)});
      room += stages.back().layers_max;
    }
    if (room < model_.layers) return std::nullopt;
    const std::vector<int> cuts = cut_layers(measure_.costs, stages);
    if (cuts.empty()) return std::nullopt;
    return to_plan(cuts);
  }

 private:
  double part(size_t stage, size_t slice) const {
    const std::vector<int>& shares = shares_[stage];
    return static_cast<double>(shares[slice]) / std::accumulate(shares.begin(), shares.end(), 0.0);
  }
  double layer_bytes(double part) const {
    return part * cost_.layer_weights +
           cache_part(part, grid_.slices == 1 ? 1 : model_.kv_heads) * cost_.layer_cache;
  }

  int layers_max(size_t stage) const {
    double most = model_.layers;
    for (size_t slice = 0; slice < grid_.slices; ++slice) {
      const double share = part(stage, slice);
      const double left =
          memory_of(*grid_.stage(stage)[slice]) - share * cost_.fixed(stage, grid_.stages());
      const double layer = layer_bytes(share);
      if (left < layer) return 0;
      if (layer > 0) most = std::min(most, left / layer);
    }
    return static_cast<int>(most);
  }

  Plan to_plan(const std::vector<int>& cuts) const {
    Plan plan{.slices = static_cast<int>(grid_.slices), .cut_by = measure_.name};
    for (size_t stage = 0; stage < grid_.stages(); ++stage) {
      const std::string wire(fabric::to_string(wire_of(stage)));
      for (size_t slice = 0; slice < grid_.slices; ++slice) {
        const double share = part(stage, slice);
        const double bytes = layer_bytes(share) * (cuts[stage + 1] - cuts[stage]) +
                             share * cost_.fixed(stage, grid_.stages());
        plan.ranks.push_back({.device = grid_.stage(stage)[slice]->facts.id,
                              .layer_begin = cuts[stage],
                              .layer_end = cuts[stage + 1],
                              .memory_bytes = static_cast<int64_t>(bytes),
                              .share = grid_.slices == 1 ? 1 : shares_[stage][slice],
                              .wire = wire});
      }
    }
    return plan;
  }

  // By the slowest link of the stage's ranks. Unknown ones are not trusted with less.
  fabric::WirePrecision wire_of(size_t stage) const {
    const LinkFacts* link =
        grid_.slices == 1 ? nullptr : slowest_link(facts_of(grid_.stage(stage)));
    if (link == nullptr || link->kind == "loopback") return fabric::WirePrecision::kF32;
    return fabric::wire_precision_for(static_cast<double>(link->bits_per_second));
  }

  const Grid& grid_;
  const ModelFacts& model_;
  const Cost cost_;
  const Measure& measure_;
  std::vector<std::vector<int>> shares_;  // by stage
};

// How fast a device and those of `group` talk, at worst.
double speed_to(const DeviceView& device, const std::vector<const DeviceView*>& group) {
  double slowest = std::numeric_limits<double>::max();
  for (const DeviceView* member : group) {
    const LinkFacts* link = link_between(device.facts, member->facts);
    slowest = std::min(slowest, link == nullptr ? 0 : static_cast<double>(link->bits_per_second));
  }
  return slowest;
}

// Groups of devices as near to each other as possible: each begins with the first that is left.
Grid grid_of(std::vector<const DeviceView*> devices, size_t slices) {
  Grid grid{.slices = slices};
  if (slices == 1 || slices == devices.size()) {
    grid.devices = std::move(devices);
    return grid;
  }
  while (!devices.empty()) {
    std::vector<const DeviceView*> group = {devices.front()};
    devices.erase(devices.begin());
    while (group.size() < slices) {
      const auto nearest = std::ranges::max_element(
          devices, {}, [&](const DeviceView* device) { return speed_to(*device, group); });
      group.push_back(*nearest);
      devices.erase(nearest);
    }
    grid.devices.insert(grid.devices.end(), group.begin(), group.end());
  }
  return grid;
}

// Whether every link within every stage is fast enough for sums not to matter.
bool has_fast_stages(const Grid& grid) {
  for (size_t stage = 0; stage < grid.stages(); ++stage) {
    const LinkFacts* link = slowest_link(facts_of(grid.stage(stage)));
    if (link == nullptr || link->bits_per_second <= kTensorLinkBits) return false;
  }
  return true;
}

// What devices say of themselves may make any number of seconds.
int64_t nanoseconds(double seconds) { return static_cast<int64_t>(std::min(seconds * 1e9, 1e15)); }

struct Candidate {
  Plan plan;
  bool preferred = false;  // a tensor plan over fast links
  // Of a prompt and its answer; nothing where it cannot be predicted.
  std::optional<double> seconds{};
};

std::optional<Candidate> candidate_of(const Grid& grid, const PlacementRequest& request,
                                      const TokenCosts& costs) {
  const bool known = request.model.token_bytes > 0 &&
                     std::ranges::all_of(grid.devices, [&costs](const DeviceView* device) {
                       return costs.speed(device->facts) > 0;
                     });
  std::optional<Plan> plan;
  if (known) plan = Cut(grid, request, by_speed(costs)).plan();
  // Also where speed asks more of a device than its memory holds.
  if (!plan) plan = Cut(grid, request, by_memory(Cost::of(request), request.model)).plan();
  if (!plan) return std::nullopt;
  Candidate candidate{.plan = *std::move(plan)};
  candidate.preferred = grid.slices > 1 && has_fast_stages(grid);
  if (const auto fast = predict(candidate.plan, request.model, costs, facts_of(grid.devices))) {
    candidate.plan.token_ns = nanoseconds(fast->token_seconds);
    candidate.plan.first_token_ns = nanoseconds(fast->first_token_seconds);
    candidate.seconds = fast->first_token_seconds + kAnswerTokens * fast->token_seconds;
  }
  return candidate;
}

// A pipeline unless another is said to be better. Slices that were asked for need no reason.
bool better(const Candidate& a, const Candidate& b) {
  if (a.preferred != b.preferred) return a.preferred;
  if (a.seconds && b.seconds) return *a.seconds < *b.seconds;
  return a.preferred && a.plan.slices > b.plan.slices;
}

// The best plan with all of these devices.
std::optional<Plan> best_of(const std::vector<const DeviceView*>& devices,
                            const PlacementRequest& request, const TokenCosts& costs) {
  const ModelFacts& model = request.model;
  std::optional<Candidate> best;
  const auto consider = [&](size_t slices) {
    const size_t stages = devices.size() / slices;
    if (devices.size() % slices != 0 || stages > static_cast<size_t>(model.layers)) return;
    auto candidate = candidate_of(grid_of(devices, slices), request, costs);
    if (candidate && (!best || better(*candidate, *best))) best = std::move(candidate);
  };
  const size_t slices_max = std::min(devices.size(), static_cast<size_t>(model.slices_max));
  // A tensor group over all first: of what cannot be predicted the first stays.
  if (request.sharding == "tensor") {
    for (size_t slices = slices_max; slices > 1; --slices) consider(slices);
  }
  if (request.sharding != "tensor" || devices.size() == 1) consider(1);
  if (request.sharding == "auto") {
    for (size_t slices = 2; slices <= slices_max; ++slices) consider(slices);
  }
  if (!best) return std::nullopt;
  return std::move(best->plan);
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
    if (find_same(device.facts, model) != nullptr) usable.push_back(&device);
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

  const TokenCosts costs(model, request.kv, facts_of(usable));
  const size_t most = std::min(usable.size(), static_cast<size_t>(ranks_max));
  std::vector<const DeviceView*> chosen;
  double available = 0;
  for (size_t ranks = 1; ranks <= most; ++ranks) {
    chosen.push_back(usable[ranks - 1]);
    available += memory_of(*chosen.back());
    if (ranks < static_cast<size_t>(request.min_devices)) continue;
    if (auto plan = best_of(chosen, request, costs)) return *std::move(plan);
  }
  return Error(
      Code::kResourceExhausted,
      fmt::format("{} needs {} of memory and the {} that can hold it {} {} available", model.id,
                  format_bytes(static_cast<int64_t>(Cost::of(request).total(model.layers))),
                  count_of(static_cast<int64_t>(most), "device"), most == 1 ? "has" : "have",
                  format_bytes(static_cast<int64_t>(available))));
}

}  // namespace hearth::cluster
