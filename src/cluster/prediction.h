// How fast a plan will be, from what is measured of devices and links. Pure functions.
#pragma once

#include <optional>
#include <vector>

#include "cluster/view.h"

namespace hearth::cluster {

// The prompt of Plan::first_token_ns.
inline constexpr int kPredictedPromptTokens = 512;

// Bytes that a token reads, and multiply-adds that it needs, in so many layers of a model, with the
// head or without.
struct TokenCost {
  double bytes = 0;
  double multiply_adds = 0;
};
TokenCost token_cost(const ModelFacts& model, int layers, bool head);

// The link by which ranks on two devices talk, as either of them measured it; nullptr if neither
// did.
const LinkFacts* link_between(const DeviceFacts& a, const DeviceFacts& b);
// The slowest link among the devices, by bandwidth; nullptr if one of them is not measured.
const LinkFacts* slowest_link(const std::vector<const DeviceFacts*>& devices);

struct Prediction {
  double token_seconds = 0;        // from a token to the next, one sequence, a short context
  double first_token_seconds = 0;  // of a prompt of kPredictedPromptTokens
};

// Of one sequence. Each stage takes as long as its slowest rank reads its share of the weights (or
// multiplies with them), two sums a layer over its links, and one more for the embedding; hidden
// states go from stage to stage, and tokens back. `devices`: of the plan's ranks, in their order.
// Nothing when a rate or a link is not measured.
std::optional<Prediction> predict(const Plan& plan, const ModelFacts& model,
                                  const std::vector<const DeviceFacts*>& devices);

}  // namespace hearth::cluster
