// Qwen 3 (https://arxiv.org/abs/2505.09388): Llama with an RMSNorm over each head of Q and K, and
// its mixture of experts.
#include <array>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"
#include "engine/models/qwen_experts.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"qwen3"};
constexpr std::array<std::string_view, 1> kGgufNames = {"qwen3"};
constexpr std::array<std::string_view, 1> kMoeModelTypes = {"qwen3_moe"};
constexpr std::array<std::string_view, 1> kMoeGgufNames = {"qwen3moe"};

void set_defaults(ModelSpec& spec) { spec.head_dim = 128; }

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  spec.qk_norm = true;
  return read_qwen_sliding_layers(config, spec);
}

Result<void> read_gguf(const GgufFile&, ModelSpec& spec) {
  spec.qk_norm = true;
  return {};
}

Result<void> read_moe_config(const JsonObject& config, ModelSpec& spec) {
  HEARTH_RETURN_IF_ERROR(read_config(config, spec));
  return read_qwen_experts(config, spec);
}

Result<void> read_moe_gguf(const GgufFile& gguf, ModelSpec& spec) {
  spec.qk_norm = true;
  HEARTH_RETURN_IF_ERROR(read_gguf_experts(gguf, ExpertScoring::kSoftmax, spec));
  if (!spec.moe) return gguf.wrong("qwen3moe.expert_count", "a positive number");
  spec.moe->normalise = true;  // the format has it implied
  return {};
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  if (spec.sparse(layer)) return load_qwen_experts(loader, spec, layer, w.mixture);
  return load_feed_forward(loader, layer_prefix(layer) + "mlp.", spec, w.ffn);
}

}  // namespace

const ArchitectureCode kQwen3 = {.architecture = Architecture::kQwen3,
                                 .model_types = kModelTypes,
                                 .gguf_names = kGgufNames,
                                 .set_defaults = set_defaults,
                                 .read_config = read_config,
                                 .read_gguf = read_gguf,
                                 .load_layer = load_layer,
                                 .attention = grouped_query_attention,
                                 .feed_forward = feed_forward_or_mixture};

const ArchitectureCode kQwen3Moe = {.architecture = Architecture::kQwen3Moe,
                                    .model_types = kMoeModelTypes,
                                    .gguf_names = kMoeGgufNames,
                                    .set_defaults = set_defaults,
                                    .read_config = read_moe_config,
                                    .read_gguf = read_moe_gguf,
                                    .load_layer = load_layer,
                                    .attention = grouped_query_attention,
                                    .feed_forward = feed_forward_or_mixture};

}  // namespace hearth::engine
