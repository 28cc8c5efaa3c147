#include "cluster/prediction.h"

#include <algorithm>
#include <cmath>

#include "cluster/links.h"
#include "fabric/wire_precision.h"

namespace hearth::cluster {
namespace {

// What models reach of the rates that are measured in loops without anything else: about, by the
// tables of docs/performance.md.
constexpr double kReadReached = 0.85;
constexpr double kMultiplyReached = 0.5;
constexpr double kTokenBytes = 64;  // of a message that carries tokens or a step

class Predictor {
 public:
  Predictor(const Plan& plan, const ModelFacts& model,
            const std::vector<const DeviceFacts*>& devices)
      : plan_(plan), model_(model), devices_(devices) {}

  // One pass of all ranks over `rows` rows of a sequence.
  std::optional<double> pass(int rows) const {
    double seconds = 0;
    for (int stage = 0; stage < plan_.stages(); ++stage) {
      const auto computing = compute(stage, rows);
      const auto summing = sums(stage, rows);
      const auto sending = send_on(stage, rows);
      if (!computing || !summing || !sending) return std::nullopt;
      seconds += *computing + *summing + *sending;
    }
    return seconds;
  }

 private:
  size_t rank_of(int stage, int slice) const {
    return static_cast<size_t>(stage * plan_.slices + slice);
  }

  // Of its slowest rank.
  std::optional<double> compute(int stage, int rows) const {
    const RankPlan& first = plan_.ranks[rank_of(stage, 0)];
    const TokenCost cost =
        token_cost(model_, first.layer_end - first.layer_begin, stage + 1 == plan_.stages());
    double shares = 0;
    for (int slice = 0; slice < plan_.slices; ++slice) {
      shares += plan_.ranks[rank_of(stage, slice)].share;
    }
    double slowest = 0;
    for (int slice = 0; slice < plan_.slices; ++slice) {
      const size_t rank = rank_of(stage, slice);
      const DeviceFacts& device = *devices_[rank];
      if (device.memory_bytes_per_second <= 0 || device.multiply_adds_per_second <= 0) {
        return std::nullopt;
      }
      const double reading =
          cost.bytes / (kReadReached * static_cast<double>(device.memory_bytes_per_second));
      const double multiplying =
          rows * cost.multiply_adds /
          (kMultiplyReached * static_cast<double>(device.multiply_adds_per_second));
      slowest =
          std::max(slowest, plan_.ranks[rank].share / shares * std::max(reading, multiplying));
    }
    return slowest;
  }

  // Every rank sends its part to all others, or, of long sums, a slice each and its sum back.
  std::optional<double> sums(int stage, int rows) const {
    if (plan_.slices == 1) return 0;
    std::vector<const DeviceFacts*> team;
    for (int slice = 0; slice < plan_.slices; ++slice) {
      team.push_back(devices_[rank_of(stage, slice)]);
    }
    const LinkFacts* link = slowest_link(team);
    if (link == nullptr) return std::nullopt;
    const RankPlan& first = plan_.ranks[rank_of(stage, 0)];
    const auto wire = fabric::parse_wire_precision(first.wire);
    const double numbers = static_cast<double>(rows) * model_.hidden;
    const double others = plan_.slices - 1;
    const double sent = numbers * fabric::wire_bytes(wire.value_or(fabric::WirePrecision::kF32)) *
                        (rows == 1 ? others : 2 * others / plan_.slices);
    const int count = 2 * (first.layer_end - first.layer_begin) + (stage == 0 ? 1 : 0);
    return count * seconds_for(*link, sent);
  }

  // Hidden states to the next stage, or tokens to the head.
  std::optional<double> send_on(int stage, int rows) const {
    const bool last = stage + 1 == plan_.stages();
    if (plan_.stages() == 1) return 0;
    const double bytes = last ? kTokenBytes : static_cast<double>(rows) * model_.hidden * 4;
    double slowest = 0;
    for (int slice = 0; slice < (last ? 1 : plan_.slices); ++slice) {
      const size_t to = last ? 0 : rank_of(stage + 1, slice);
      const LinkFacts* link = link_between(*devices_[rank_of(stage, slice)], *devices_[to]);
      if (link == nullptr) return std::nullopt;
      slowest = std::max(slowest, seconds_for(*link, bytes));
    }
    return slowest;
  }

  const Plan& plan_;
  const ModelFacts& model_;
  const std::vector<const DeviceFacts*>& devices_;
};

}  // namespace

TokenCost token_cost(const ModelFacts& model, int layers, bool head) {
  const double all = static_cast<double>(model.token_bytes);
  const double head_bytes = std::min(static_cast<double>(model.head_bytes), all);
  const double bytes =
      (all - head_bytes) * layers / std::max(model.layers, 1) + (head ? head_bytes : 0);
  // Multiply-adds are spread as bytes are: nearly all weights have one width.
  const double part = all > 0 ? bytes / all : 0;
  return {bytes, part * static_cast<double>(model.token_multiply_adds)};
}

const LinkFacts* link_between(const DeviceFacts& a, const DeviceFacts& b) {
  if (const LinkFacts* link = best_link(a, b.id)) return link;
  return best_link(b, a.id);
}

const LinkFacts* slowest_link(const std::vector<const DeviceFacts*>& devices) {
  const LinkFacts* slowest = nullptr;
  for (size_t i = 0; i < devices.size(); ++i) {
    for (size_t j = 0; j < devices.size(); ++j) {
      if (i == j) continue;
      const LinkFacts* link = link_between(*devices[i], *devices[j]);
      if (link == nullptr) return nullptr;
      if (slowest == nullptr || link->bits_per_second < slowest->bits_per_second) slowest = link;
    }
  }
  return slowest;
}

std::optional<Prediction> predict(const Plan& plan, const ModelFacts& model,
                                  const std::vector<const DeviceFacts*>& devices) {
  if (model.token_bytes <= 0 || model.token_multiply_adds <= 0) return std::nullopt;
  const Predictor predictor(plan, model, devices);
  const auto token = predictor.pass(1);
  const auto prompt = predictor.pass(kPredictedPromptTokens);
  if (!token || !prompt) return std::nullopt;
  return Prediction{*token, *prompt};
}

}  // namespace hearth::cluster
