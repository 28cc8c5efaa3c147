#include "engine/kv_type.h"

#include <gtest/gtest.h>

#include "engine/model_files.h"
#include "engine/rank_model.h"

namespace hearth::engine {
namespace {

ModelSpec spec_of(const std::string& model) {
  return ModelFiles::open(HEARTH_SOURCE_DIR "/tests/golden/models/" + model).value()->spec();
}

TEST(KvType, NamesComeBack) {
  for (const KvType type : kAllKvTypes) EXPECT_EQ(parse_kv_type(to_string(type)), type);
  EXPECT_EQ(parse_kv_type("q16"), LoadOptions{}.kv);
  for (const char* word : {"", "Q16", "q4", "1"}) EXPECT_FALSE(parse_kv_type(word).has_value());
}

TEST(KvType, TokensCostWhatTheirNumbersAndScalesDo) {
  const ModelSpec llama = spec_of("llama");
  const int64_t heads = llama.kv_heads;
  ASSERT_EQ(llama.value_dim % 16, 0);
  const int64_t numbers = heads * (llama.head_dim + llama.value_dim);
  EXPECT_EQ(kv_token_bytes(llama, KvType::kF32), numbers * 4);
  EXPECT_EQ(kv_token_bytes(llama, KvType::kBF16), numbers * 2);
  EXPECT_EQ(kv_token_bytes(llama, KvType::kQ16), numbers * 2 + heads * 8);
  EXPECT_EQ(kv_token_bytes(llama, KvType::kQ8), numbers + heads * 8);

  const ModelSpec latent = spec_of("deepseek_v3");  // one vector of all heads
  EXPECT_EQ(kv_token_bytes(latent, KvType::kQ8),
            latent.latent->latent_dim + latent.latent->rotary_dim + 4);
}

TEST(KvType, CachesCostWhatTheirTokensDo) {
  const ModelSpec llama = spec_of("llama");
  LoadOptions options{.shard = {0, llama.layers}, .kv_tokens = 320};
  const int64_t q16 = kv_cache_bytes(llama, options);
  EXPECT_EQ(q16, 320 * llama.layers * kv_token_bytes(llama, KvType::kQ16));
  options.kv = KvType::kQ8;
  EXPECT_LT(kv_cache_bytes(llama, options), 0.6 * static_cast<double>(q16));
  options.precision = Precision::kExact;
  EXPECT_EQ(kv_cache_bytes(llama, options),
            320 * llama.layers * kv_token_bytes(llama, KvType::kF32));
  options.kv_tokens = 0;
  EXPECT_EQ(kv_cache_bytes(llama, options) % llama.context, 0) << "a full context";
}

}  // namespace
}  // namespace hearth::engine
