#include "cluster/prediction.h"

#include <algorithm>
#include <cmath>

#include "base/prompt_rows.h"
#include "cluster/links.h"
#include "fabric/wire_precision.h"

namespace hearth::cluster {
namespace {

// What models reach of the rate that is measured in a loop without anything else: about, by the
// tables of docs/performance.md.
constexpr double kMultiplyReached = 0.5;
constexpr double kTokenBytes = 64;  // of a message that carries tokens or a step

class Predictor {
 public:
  Predictor(const Plan& plan, const ModelFacts& model, const TokenCosts& costs,
            const std::vector<const DeviceFacts*>& devices)
      : plan_(plan), model_(model), costs_(costs), devices_(devices) {}

  // Until all ranks have passed over `rows` rows of a sequence, a chunk after another, and a token
  // has come back. Stages compute the next chunk while they send one.
  std::optional<double> pass(int rows) const {
    const auto stages = static_cast<size_t>(plan_.stages());
    std::vector<double> computed(stages);  // when each stage is done with its latest chunk
    std::vector<double> sent(stages);
    for (int left = rows; left > 0;) {
      const int chunk = std::min(prompt_rows(left, plan_.stages(), kStepRowsDefault), left);
      left -= chunk;
      double arrived = 0;
      for (size_t i = 0; i < stages; ++i) {
        const int stage = static_cast<int>(i);
        const auto computing = compute(stage, chunk, /*logits=*/left == 0);
        const auto summing = sums(stage, chunk);
        const auto sending = send_on(stage, chunk);
        if (!computing || !summing || !sending) return std::nullopt;
        computed[i] = std::max(computed[i], arrived) + *computing + *summing;
        sent[i] = std::max(sent[i], computed[i]) + *sending;
        arrived = sent[i];
      }
    }
    return sent.back();
  }

 private:
  size_t rank_of(int stage, int slice) const {
    return static_cast<size_t>(stage * plan_.slices + slice);
  }

  // Of its slowest rank. The head meets the last row alone, if it gives `logits`.
  std::optional<double> compute(int stage, int rows, bool logits) const {
    const RankPlan& first = plan_.ranks[rank_of(stage, 0)];
    const bool head = logits && stage + 1 == plan_.stages();
    const double multiply_adds =
        rows * token_cost(model_, first.layer_end - first.layer_begin, false).multiply_adds +
        (head ? token_cost(model_, 0, true).multiply_adds : 0);
    double shares = 0;
    for (int slice = 0; slice < plan_.slices; ++slice) {
      shares += plan_.ranks[rank_of(stage, slice)].share;
    }
    double slowest = 0;
    for (int slice = 0; slice < plan_.slices; ++slice) {
      const size_t rank = rank_of(stage, slice);
      const DeviceFacts& device = *devices_[rank];
      const auto token = costs_.seconds(device, first.layer_begin, first.layer_end, head);
      if (!token || device.multiply_adds_per_second <= 0) return std::nullopt;
      double seconds = *token;
      // What a token was measured to take has its products in it.
      if (rows > 1 || !costs_.has_timed(device)) {
        seconds = std::max(
            seconds, multiply_adds /
                         (kMultiplyReached * static_cast<double>(device.multiply_adds_per_second)));
      }
      slowest = std::max(slowest, plan_.ranks[rank].share / shares * seconds);
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
  const TokenCosts& costs_;
  const std::vector<const DeviceFacts*>& devices_;
};

}  // namespace

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
                                  const TokenCosts& costs,
                                  const std::vector<const DeviceFacts*>& devices) {
  if (model.token_bytes <= 0 || model.token_multiply_adds <= 0) return std::nullopt;
  const Predictor predictor(plan, model, costs, devices);
  const auto token = predictor.pass(1);
  const auto prompt = predictor.pass(kPredictedPromptTokens);
  if (!token || !prompt) return std::nullopt;
  return Prediction{*token, *prompt};
}

}  // namespace hearth::cluster
