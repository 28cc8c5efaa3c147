#include "engine/models/deepseek_experts.h"

#include <algorithm>

#include "engine/formats/hf_config.h"
#include "engine/models/layers.h"

namespace hearth::engine {

Result<void> read_deepseek_experts(const JsonObject& config, ModelSpec& spec) {
  HEARTH_TRY(const std::string scoring, config.text_or("scoring_func", "sigmoid"));
  if (scoring != "sigmoid") {
    return Error(Code::kUnsupported,
                 config.where() + ": scoring_func " + scoring + " (known: sigmoid)");
  }
  MoeSpec moe{.scoring = ExpertScoring::kSigmoid};
  HEARTH_RETURN_IF_ERROR(read_size(config, "n_routed_experts", moe.experts));
  HEARTH_RETURN_IF_ERROR(read_size(config, "num_experts_per_tok", moe.used));
  HEARTH_RETURN_IF_ERROR(read_size(config, "moe_intermediate_size", moe.ffn));
  HEARTH_TRY(const int64_t shared, config.integer_or("n_shared_experts", 0, 0, 64));
  moe.shared_ffn = static_cast<int>(std::min<int64_t>(shared * moe.ffn, INT32_MAX));
  HEARTH_TRY(const double scale, config.number_or("routed_scaling_factor", 1));
  moe.weight_scale = static_cast<float>(scale);
  HEARTH_TRY(moe.normalise, config.boolean_or("norm_topk_prob", true));
  HEARTH_TRY(const int64_t groups, config.integer_or("n_group", 1, 1, INT32_MAX));
  HEARTH_TRY(const int64_t groups_used, config.integer_or("topk_group", 1, 1, INT32_MAX));
  moe.groups = static_cast<int>(groups);
  moe.groups_used = static_cast<int>(groups_used);
  HEARTH_TRY(const int64_t dense, config.integer_or("first_k_dense_replace", 0, 0, INT32_MAX));
  HEARTH_TRY(const int64_t step, config.integer_or("moe_layer_freq", 1, 1, INT32_MAX));
  moe.sparse.resize(spec.layers);
  for (int layer = 0; layer < spec.layers; ++layer) {
    moe.sparse[layer] = layer >= dense && layer % step == 0;
  }
  spec.moe = std::move(moe);
  return {};
}

Result<void> load_deepseek_feed_forward(WeightLoader& loader, const ModelSpec& spec, int layer,
                                        LayerWeights& w) {
  const std::string prefix = layer_prefix(layer) + "mlp.";
  if (!spec.sparse(layer)) {
    return load_feed_forward(loader, prefix, spec, w.ffn);
  }
  const MoeSpec& moe = *spec.moe;
  MixtureWeights& m = w.mixture;
  HEARTH_RETURN_IF_ERROR(
      loader.matrix(prefix + "gate.weight", moe.experts, spec.hidden, &m.router));
  HEARTH_RETURN_IF_ERROR(
      loader.vector(prefix + "gate.e_score_correction_bias", moe.experts, &m.choice_bias));
  HEARTH_RETURN_IF_ERROR(load_experts(loader, prefix + "experts.", spec, m));
  if (moe.shared_ffn == 0) return {};
  return load_shared_experts(loader, prefix + "shared_experts.", spec, m.shared);
}

}  // namespace hearth::engine
