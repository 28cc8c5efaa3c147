// Numbers of the KV cache: what they are called and what they cost.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/model_spec.h"

namespace hearth::engine {

struct LoadOptions;

enum class KvType {
  kF32,
  kQ16,   // 15-bit integers with a scale for each token's key and value in each head
  kBF16,  // bfloat16: as large, and less exact
  kQ8,    // 8-bit integers with such scales: half as large
};

// Each of them, the most useful first.
inline constexpr std::array kAllKvTypes = {KvType::kQ16, KvType::kBF16, KvType::kQ8, KvType::kF32};

// "q16", as people and documents write it; and back, nothing for other words.
std::string_view to_string(KvType type);
std::optional<KvType> parse_kv_type(std::string_view name);

// Bytes that a layer that attends keeps of one token.
int64_t kv_token_bytes(const ModelSpec& spec, KvType type);

// Bytes of the cache that RankModel::load makes of a shard; of a slice, at most, as `spec` has all
// heads. REQUIRES: the shard is a part of the model, options.kv_tokens >= 0.
int64_t kv_cache_bytes(const ModelSpec& spec, const LoadOptions& options);

}  // namespace hearth::engine
