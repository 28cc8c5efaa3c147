// How much KV cache an instance gets when nobody says.
#pragma once

#include <cstdint>

#include "engine/model_spec.h"

namespace hearth::runtime {

// Tokens per block of KV memory: a sequence's room is counted in whole blocks.
inline constexpr int kKvBlockTokens = 32;

struct KvPlan {
  int64_t kv_tokens = 0;  // room over all sequences, whole blocks
  int sequences_max = 0;  // slots
};

// Depends on the model alone, so that every rank chooses alike: room for four contexts of at most
// 4,096 tokens, and sixteen slots (short conversations share the room).
KvPlan default_kv_plan(const engine::ModelSpec& spec);

}  // namespace hearth::runtime
