#include "runtime/kv_plan.h"

#include <algorithm>

namespace hearth::runtime {

KvPlan default_kv_plan(const engine::ModelSpec& spec) {
  constexpr int64_t kSharedContext = 4096;
  constexpr int64_t kSequencesInFull = 4;
  const int64_t tokens = std::min<int64_t>(spec.context, kSharedContext) * kSequencesInFull;
  const int64_t blocks = (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
  return {.kv_tokens = blocks * kKvBlockTokens, .sequences_max = 16};
}

}  // namespace hearth::runtime
