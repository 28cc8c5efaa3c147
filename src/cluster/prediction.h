// How fast a plan will be, from what is measured of devices and links. Pure functions.
#pragma once

#include <optional>
#include <vector>

#include "cluster/token_costs.h"
#include "cluster/view.h"

namespace hearth::cluster {

// The prompt of Plan::first_token_ns.
inline constexpr int kPredictedPromptTokens = 512;

// The link by which ranks on two devices talk, as either of them measured it; nullptr if neither
// did.
const LinkFacts* link_between(const DeviceFacts& a, const DeviceFacts& b);
// The slowest link among the devices, by bandwidth; nullptr if one of them is not measured.
const LinkFacts* slowest_link(const std::vector<const DeviceFacts*>& devices);

struct Prediction {
  double token_seconds = 0;        // from a token to the next, one sequence, a short context
  double first_token_seconds = 0;  // of a prompt of kPredictedPromptTokens
};

// Of one sequence. Each stage takes as long as its slowest rank needs for its share of a token (or
// multiplies with it), two sums a layer over its links, and one more for the embedding; hidden
// states go from stage to stage, and tokens back. A prompt goes through the stages in chunks
// (base/prompt_rows.h), on which they work at the same time. `devices`: of the plan's ranks, in
// their order. Nothing when a rate or a link is not measured.
std::optional<Prediction> predict(const Plan& plan, const ModelFacts& model,
                                  const TokenCosts& costs,
                                  const std::vector<const DeviceFacts*>& devices);

}  // namespace hearth::cluster
