#include "engine/models/qwen_experts.h"

#include <nlohmann/json.hpp>

#include "engine/formats/hf_config.h"
#include "engine/models/layers.h"

namespace hearth::engine {

Result<void> read_qwen_experts(const JsonObject& config, ModelSpec& spec) {
  MoeSpec moe{.scoring = ExpertScoring::kSoftmax};
  HEARTH_RETURN_IF_ERROR(read_size(config, "num_experts", moe.experts));
  HEARTH_RETURN_IF_ERROR(read_size(config, "num_experts_per_tok", moe.used));
  HEARTH_RETURN_IF_ERROR(read_size(config, "moe_intermediate_size", moe.ffn));
  HEARTH_TRY(moe.normalise, config.boolean_or("norm_topk_prob", false));
  HEARTH_TRY(const int64_t step, config.integer_or("decoder_sparse_step", 1, 1, INT32_MAX));
  moe.sparse.resize(spec.layers);
  for (int layer = 0; layer < spec.layers; ++layer) moe.sparse[layer] = (layer + 1) % step == 0;
  if (config.has("mlp_only_layers")) {
    HEARTH_TRY(const nlohmann::json* dense, config.array("mlp_only_layers"));
    for (const nlohmann::json& layer : *dense) {
      if (!layer.is_number_integer() || layer < 0 || layer >= spec.layers) {
        return config.wrong("mlp_only_layers", "numbers of layers");
      }
      moe.sparse[layer.get<int>()] = false;
    }
  }
  spec.moe = std::move(moe);
  return {};
}

Result<void> load_qwen_experts(WeightLoader& loader, const ModelSpec& spec, int layer,
                               MixtureWeights& w) {
  const std::string prefix = layer_prefix(layer) + "mlp.";
  const MoeSpec& moe = *spec.moe;
  HEARTH_RETURN_IF_ERROR(
      loader.matrix(prefix + "gate.weight", moe.experts, spec.hidden, &w.router));
  HEARTH_RETURN_IF_ERROR(load_experts(loader, prefix + "experts.", spec, w));
  if (moe.shared_ffn == 0) return {};
  HEARTH_RETURN_IF_ERROR(load_shared_experts(loader, prefix + "shared_expert.", spec, w.shared));
  return loader.matrix(prefix + "shared_expert_gate.weight", 1, spec.hidden, &w.shared_gate);
}

}  // namespace hearth::engine
