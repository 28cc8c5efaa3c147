// Candidates for a draw (engine/sampler.h) on their way from the ranks of the last stage to the one
// that draws. Layout on the wire: docs/protocols.md, "Steps".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/sampler.h"

namespace hearth::runtime {

// Those of each drawn sequence.
using CandidateLists = std::vector<std::vector<engine::Candidate>>;

std::vector<std::byte> encode(const CandidateLists& lists);

// Adds to each of `lists` the candidates that `bytes` have for it. kCorrupt unless they are lists
// for as many sequences, of ascending ids in [first_id, end_id) with ordered logits.
Result<void> append_candidates(std::span<const std::byte> bytes, int32_t first_id, int32_t end_id,
                               CandidateLists* lists);

}  // namespace hearth::runtime
