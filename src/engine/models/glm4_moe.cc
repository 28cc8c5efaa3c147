// GLM-4.5 and 4.6 (https://arxiv.org/abs/2508.06471): grouped-query attention with rope over a part
// of each head, and DeepSeek's mixture of experts.
#include <algorithm>
#include <array>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/deepseek_experts.h"
#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"glm4_moe"};
constexpr std::array<std::string_view, 1> kGgufNames = {"glm4moe"};
constexpr std::array kTensorNames = {
    TensorName{"post_attention_norm", "post_attention_layernorm"},
    TensorName{"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
};

void set_defaults(ModelSpec& spec) { spec.head_dim = 128; }

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  HEARTH_TRY(spec.qk_norm, config.boolean_or("use_qk_norm", false));
  if (!config.has("partial_rotary_factor") && !config.has("rope_parameters")) {
    spec.rope.dimensions = spec.head_dim / 2;
  }
  return read_deepseek_experts(config, spec);
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  const auto& tensors = gguf.tensors();
  spec.qk_norm = std::any_of(tensors.begin(), tensors.end(), [](const FileTensor& tensor) {
    return tensor.name == "blk.0.attn_q_norm.weight";
  });
  HEARTH_RETURN_IF_ERROR(read_gguf_experts(gguf, ExpertScoring::kSigmoid, spec));
  if (!spec.moe) return gguf.wrong("glm4moe.expert_count", "a positive number");
  return {};
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  return load_deepseek_feed_forward(loader, spec, layer, w);
}

}  // namespace

const ArchitectureCode kGlm4Moe = {.architecture = Architecture::kGlm4Moe,
                                   .model_types = kModelTypes,
                                   .gguf_names = kGgufNames,
                                   .tensor_names = kTensorNames,
                                   .set_defaults = set_defaults,
                                   .read_config = read_config,
                                   .read_gguf = read_gguf,
                                   .load_layer = load_layer,
                                   .attention = grouped_query_attention,
                                   .feed_forward = feed_forward_or_mixture};

}  // namespace hearth::engine
