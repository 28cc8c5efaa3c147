// DeepSeek-V3, V3.1 and R1 (https://arxiv.org/abs/2412.19437) and Kimi K2
// (https://arxiv.org/abs/2507.20534), which differs in sizes: latent attention and a mixture of
// experts.
#include <array>
#include <cmath>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/deepseek_experts.h"
#include "engine/models/layers.h"
#include "engine/models/rope.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 2> kModelTypes = {"deepseek_v3", "kimi_k2"};
constexpr std::array<std::string_view, 1> kGgufNames = {"deepseek2"};
constexpr std::array kTensorNames = {
    TensorName{"attn_q_a", "self_attn.q_a_proj"},
    TensorName{"attn_q_a_norm", "self_attn.q_a_layernorm"},
    TensorName{"attn_q_b", "self_attn.q_b_proj"},
    TensorName{"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    TensorName{"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    TensorName{"attn_kv_b", "self_attn.kv_b_proj"},
    // Newer files hold the halves of kv_b apart, the keys' transposed.
    TensorName{"attn_k_b", "self_attn.k_b_proj"},
    TensorName{"attn_v_b", "self_attn.v_b_proj"},
    TensorName{"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
};

// Not all configs have the key, and what the hidden size would give is not used.
void set_defaults(ModelSpec& spec) { spec.head_dim = 2; }

// Sizes and scale that follow from the latent dimensions. `mscale` is YaRN's temperature, which
// applies to queries and keys.
void complete(ModelSpec& spec, const LatentAttentionSpec& latent, double mscale) {
  spec.latent = latent;
  spec.head_dim = latent.nope_dim + latent.rotary_dim;
  spec.value_dim = latent.value_dim;
  spec.kv_heads = spec.heads;
  spec.rope.dimensions = latent.rotary_dim;
  spec.rope.interleaved = true;
  spec.attention_scale =
      static_cast<float>(mscale * mscale / std::sqrt(static_cast<double>(spec.head_dim)));
}

Result<double> read_mscale(const JsonObject& config, const RopeSpec& rope) {
  for (const std::string_view key : {"rope_parameters", "rope_scaling"}) {
    if (!config.has(key)) continue;
    HEARTH_TRY(const JsonObject parameters, config.object(key));
    HEARTH_TRY(const double all_dim, parameters.number_or("mscale_all_dim", 0));
    return rope.scaling == RopeScaling::kYarn ? yarn_mscale(rope.factor, all_dim) : 1.0;
  }
  return 1.0;
}

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  LatentAttentionSpec latent;
  if (config.has("q_lora_rank")) {
    HEARTH_RETURN_IF_ERROR(read_size(config, "q_lora_rank", latent.query_rank));
  }
  HEARTH_RETURN_IF_ERROR(read_size(config, "kv_lora_rank", latent.latent_dim));
  HEARTH_RETURN_IF_ERROR(read_size(config, "qk_nope_head_dim", latent.nope_dim));
  HEARTH_RETURN_IF_ERROR(read_size(config, "qk_rope_head_dim", latent.rotary_dim));
  HEARTH_RETURN_IF_ERROR(read_size(config, "v_head_dim", latent.value_dim));
  HEARTH_TRY(const double mscale, read_mscale(config, spec.rope));
  complete(spec, latent, mscale);
  HEARTH_TRY(spec.rope.interleaved, config.boolean_or("rope_interleave", true));
  if (spec.attention_bias) {
    return Error(Code::kUnsupported, config.where() + ": attention_bias true");
  }
  return read_deepseek_experts(config, spec);
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  const auto read = [&](std::string_view key, int64_t fallback, int& out) {
    return read_gguf_size(gguf, spec, key, fallback, out);
  };
  LatentAttentionSpec latent;
  if (gguf.has("deepseek2.attention.q_lora_rank")) {
    HEARTH_RETURN_IF_ERROR(read("attention.q_lora_rank", 0, latent.query_rank));
  }
  int key_dim = 0;
  HEARTH_RETURN_IF_ERROR(read("attention.kv_lora_rank", 0, latent.latent_dim));
  HEARTH_RETURN_IF_ERROR(read("rope.dimension_count", 0, latent.rotary_dim));
  HEARTH_RETURN_IF_ERROR(read("attention.key_length_mla", spec.head_dim, key_dim));
  HEARTH_RETURN_IF_ERROR(read("attention.value_length_mla", spec.value_dim, latent.value_dim));
  latent.nope_dim = key_dim - latent.rotary_dim;
  HEARTH_TRY(const double multiplier,
             gguf.number_or("deepseek2.rope.scaling.yarn_log_multiplier", 0));
  const bool yarn = spec.rope.scaling == RopeScaling::kYarn;
  complete(spec, latent, yarn ? yarn_mscale(spec.rope.factor, multiplier * 10) : 1);
  spec.rope.attention_factor = 1;  // all of it is in the scale of the scores
  HEARTH_RETURN_IF_ERROR(read_gguf_experts(gguf, ExpertScoring::kSigmoid, spec));
  if (!spec.moe || spec.moe->scoring != ExpertScoring::kSigmoid) {
    return Error(Code::kUnsupported,
                 gguf.file() + ": deepseek2 without experts scored by sigmoid (DeepSeek-V2)");
  }
  return {};
}

// The halves of kv_b in tensors of their own, all heads below each other and the keys' transposed:
// GGUF's names, and those of MLX. Null: the file has them together.
struct HalfNames {
  const char* keys;
  const char* values;
};
const HalfNames* find_halves(const WeightLoader& loader, const std::string& prefix) {
  static constexpr std::array kNames = {HalfNames{"k_b_proj.weight", "v_b_proj.weight"},
                                        HalfNames{"embed_q.weight", "unembed_out.weight"}};
  for (const HalfNames& names : kNames) {
    if (loader.has(prefix + names.keys)) return &names;
  }
  return nullptr;
}

// Per head, what carries its query into the latent space, or what carries the latent to its key,
// which is the same transposed; and what carries the latent to its value.
Result<void> load_heads(WeightLoader& loader, const ModelSpec& spec, const std::string& prefix,
                        LayerWeights& w) {
  const LatentAttentionSpec& dims = *spec.latent;
  const int64_t heads = spec.heads;
  const int64_t both = int64_t{dims.nope_dim} + dims.value_dim;
  const HalfNames* halves = find_halves(loader, prefix);
  const Range own = loader.slice().heads;
  std::vector<PackedMatrix>& all_keys = halves != nullptr ? w.keys_to_latent : w.latent_to_keys;
  all_keys.resize(own.size());
  w.latent_to_value.resize(own.size());
  for (int64_t h = own.begin; h < own.end; ++h) {
    PackedMatrix* keys = &all_keys[h - own.begin];
    PackedMatrix* values = &w.latent_to_value[h - own.begin];
    if (halves != nullptr) {
      HEARTH_RETURN_IF_ERROR(
          loader.part(prefix + halves->keys, heads * dims.latent_dim, dims.nope_dim,
                      {.first = h * dims.latent_dim, .count = dims.latent_dim}, keys));
      HEARTH_RETURN_IF_ERROR(
          loader.part(prefix + halves->values, heads * dims.value_dim, dims.latent_dim,
                      {.first = h * dims.value_dim, .count = dims.value_dim}, values));
      continue;
    }
    const std::string name = prefix + "kv_b_proj.weight";
    HEARTH_RETURN_IF_ERROR(loader.part(name, heads * both, dims.latent_dim,
                                       {.first = h * both, .count = dims.nope_dim}, keys));
    HEARTH_RETURN_IF_ERROR(loader.part(name, heads * both, dims.latent_dim,
                                       {.first = h * both + dims.nope_dim, .count = dims.value_dim},
                                       values));
  }
  return {};
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  const std::string prefix = layer_prefix(layer) + "self_attn.";
  const LatentAttentionSpec& dims = *spec.latent;
  const int64_t query = int64_t{spec.heads} * spec.head_dim;
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  const Choice own = rows_of(loader.slice().heads, spec.head_dim);
  if (dims.query_rank == 0) {
    HEARTH_RETURN_IF_ERROR(loader.part(prefix + "q_proj.weight", query, spec.hidden, own, &w.q));
  } else {
    HEARTH_RETURN_IF_ERROR(
        loader.matrix(prefix + "q_a_proj.weight", dims.query_rank, spec.hidden, &w.q_down));
    HEARTH_RETURN_IF_ERROR(
        loader.norm(prefix + "q_a_layernorm.weight", dims.query_rank, &w.q_down_norm));
    HEARTH_RETURN_IF_ERROR(
        loader.part(prefix + "q_b_proj.weight", query, dims.query_rank, own, &w.q));
  }
  HEARTH_RETURN_IF_ERROR(loader.matrix(prefix + "kv_a_proj_with_mqa.weight",
                                       dims.latent_dim + dims.rotary_dim, spec.hidden, &w.kv_down));
  HEARTH_RETURN_IF_ERROR(
      loader.norm(prefix + "kv_a_layernorm.weight", dims.latent_dim, &w.latent_norm));
  HEARTH_RETURN_IF_ERROR(load_heads(loader, spec, prefix, w));
  HEARTH_RETURN_IF_ERROR(load_attention_output(loader, prefix + "o_proj.weight", spec, w));
  return load_deepseek_feed_forward(loader, spec, layer, w);
}

}  // namespace

const ArchitectureCode kDeepseekV3 = {.architecture = Architecture::kDeepseekV3,
                                      .model_types = kModelTypes,
                                      .gguf_names = kGgufNames,
                                      .tensor_names = kTensorNames,
                                      .set_defaults = set_defaults,
                                      .read_config = read_config,
                                      .read_gguf = read_gguf,
                                      .load_layer = load_layer,
                                      .attention = latent_attention,
                                      .feed_forward = feed_forward_or_mixture};

}  // namespace hearth::engine
