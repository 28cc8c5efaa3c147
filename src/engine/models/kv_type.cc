#include "engine/kv_type.h"

#include "engine/kv/kv_cache.h"
#include "engine/models/activations.h"

namespace hearth::engine {

std::string_view to_string(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kQ16:
      return "q16";
    case KvType::kBF16:
      return "bf16";
    case KvType::kQ8:
      return "q8";
  }
  return "";
}

std::optional<KvType> parse_kv_type(std::string_view name) {
  for (const KvType type : kAllKvTypes) {
    if (to_string(type) == name) return type;
  }
  return std::nullopt;
}

int64_t kv_token_bytes(const ModelSpec& spec, KvType type) {
  KvShape shape = kv_shape(spec, {.kv = type});
  shape.layers = {KvLayer::kFull};
  return KvCache::bytes_wanted(shape, kernels::kPageTokens, 1, 0) / kernels::kPageTokens;
}

int64_t kv_cache_bytes(const ModelSpec& spec, const LoadOptions& options) {
  const int64_t tokens = options.kv_tokens > 0 ? options.kv_tokens : spec.context;
  return KvCache::bytes_wanted(kv_shape(spec, options), tokens, options.sequences_max,
                               kPassRowsMax);
}

}  // namespace hearth::engine
