// Qwen 2 and 2.5 (https://arxiv.org/abs/2407.10671): Llama with biases on Q, K and V. The mixture
// of experts adds shared experts behind a gate of their own.
#include <array>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"
#include "engine/models/qwen_experts.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"qwen2"};
constexpr std::array<std::string_view, 1> kGgufNames = {"qwen2"};
constexpr std::array<std::string_view, 1> kMoeModelTypes = {"qwen2_moe"};
constexpr std::array<std::string_view, 1> kMoeGgufNames = {"qwen2moe"};
constexpr std::array kMoeTensorNames = {
    TensorName{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    TensorName{"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    TensorName{"ffn_down_shexp", "mlp.shared_expert.down_proj"},
    TensorName{"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
};

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  HEARTH_TRY(spec.attention_bias, config.boolean_or("qkv_bias", true));
  return read_qwen_sliding_layers(config, spec);
}

Result<void> read_gguf(const GgufFile&, ModelSpec&) { return {}; }

Result<void> read_moe_config(const JsonObject& config, ModelSpec& spec) {
  HEARTH_RETURN_IF_ERROR(read_config(config, spec));
  HEARTH_RETURN_IF_ERROR(read_qwen_experts(config, spec));
  return read_size(config, "shared_expert_intermediate_size", spec.moe->shared_ffn);
}

Result<void> read_moe_gguf(const GgufFile& gguf, ModelSpec& spec) {
  HEARTH_RETURN_IF_ERROR(read_gguf_experts(gguf, ExpertScoring::kSoftmax, spec));
  if (!spec.moe) return gguf.wrong("qwen2moe.expert_count", "a positive number");
  return read_gguf_size(gguf, spec, "expert_shared_feed_forward_length", spec.ffn,
                        spec.moe->shared_ffn);
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  return load_feed_forward(loader, layer_prefix(layer) + "mlp.", spec, w.ffn);
}

Result<void> load_moe_layer(WeightLoader& loader, const ModelSpec& spec, int layer,
                            LayerWeights& w) {
  if (!spec.sparse(layer)) return load_layer(loader, spec, layer, w);
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  return load_qwen_experts(loader, spec, layer, w.mixture);
}

}  // namespace

const ArchitectureCode kQwen2 = {.architecture = Architecture::kQwen2,
                                 .model_types = kModelTypes,
                                 .gguf_names = kGgufNames,
                                 .read_config = read_config,
                                 .read_gguf = read_gguf,
                                 .load_layer = load_layer,
                                 .attention = grouped_query_attention,
                                 .feed_forward = feed_forward};

const ArchitectureCode kQwen2Moe = {.architecture = Architecture::kQwen2Moe,
                                    .model_types = kMoeModelTypes,
                                    .gguf_names = kMoeGgufNames,
                                    .tensor_names = kMoeTensorNames,
                                    .read_config = read_moe_config,
                                    .read_gguf = read_moe_gguf,
                                    .load_layer = load_moe_layer,
                                    .attention = grouped_query_attention,
                                    .feed_forward = feed_forward_or_mixture};

}  // namespace hearth::engine
