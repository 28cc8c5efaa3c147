// MiniMax M2 (https://huggingface.co/MiniMaxAI/MiniMax-M2): grouped-query attention with rope over
// a part of each head and norms over all heads of Q and of K together, and a mixture of experts
// scored by sigmoid, with a bias that only chooses.
#include <array>
#include <nlohmann/json.hpp>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"minimax_m2"};
constexpr std::array<std::string_view, 1> kGgufNames = {"minimax-m2"};
constexpr std::array kTensorNames = {
    TensorName{"ffn_gate_inp", "block_sparse_moe.gate"},
    TensorName{"exp_probs_b.bias", "block_sparse_moe.e_score_correction_bias"},
    TensorName{"ffn_gate_exps", "block_sparse_moe.experts.gate_proj"},
    TensorName{"ffn_up_exps", "block_sparse_moe.experts.up_proj"},
    TensorName{"ffn_down_exps", "block_sparse_moe.experts.down_proj"},
};
// Of experts in tensors of their own.
constexpr ExpertNames kExpertNames = {.gate = "w1.weight", .up = "w3.weight", .down = "w2.weight"};

void set_defaults(ModelSpec& spec) { spec.head_dim = 128; }

Error unsupported(const JsonObject& config, const std::string& what) {
  return Error(Code::kUnsupported, config.where() + ": " + what);
}

// Options of the model's family that its published members do not use.
Result<void> refuse_variants(const JsonObject& config) {
  HEARTH_TRY(const std::string scoring, config.text_or("scoring_func", "sigmoid"));
  if (scoring != "sigmoid") return unsupported(config, "scoring_func " + scoring);
  HEARTH_TRY(const std::string norm, config.text_or("qk_norm_type", "per_layer"));
  if (norm != "per_layer") return unsupported(config, "qk_norm_type " + norm);
  HEARTH_TRY(const int64_t shared, config.integer_or("shared_intermediate_size", 0, 0, INT32_MAX));
  if (shared != 0) return unsupported(config, "shared_intermediate_size " + std::to_string(shared));
  if (!config.has("attn_type_list")) return {};
  HEARTH_TRY(const nlohmann::json* types, config.array("attn_type_list"));
  for (const nlohmann::json& type : *types) {
    if (type != 1) return unsupported(config, "attn_type_list with " + type.dump());
  }
  return {};
}

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  HEARTH_RETURN_IF_ERROR(refuse_variants(config));
  HEARTH_TRY(spec.qk_norm, config.boolean_or("use_qk_norm", true));
  spec.qk_norm_whole = spec.qk_norm;
  if (config.has("rotary_dim")) {
    HEARTH_RETURN_IF_ERROR(read_size(config, "rotary_dim", spec.rope.dimensions));
  }
  MoeSpec moe{.ffn = spec.ffn, .scoring = ExpertScoring::kSigmoid, .normalise = true};
  HEARTH_RETURN_IF_ERROR(read_size(config, "num_local_experts", moe.experts));
  HEARTH_RETURN_IF_ERROR(read_size(config, "num_experts_per_tok", moe.used));
  moe.sparse.assign(spec.layers, true);
  spec.moe = std::move(moe);
  return {};
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  spec.qk_norm = true;
  spec.qk_norm_whole = true;
  HEARTH_RETURN_IF_ERROR(read_gguf_experts(gguf, ExpertScoring::kSigmoid, spec));
  if (!spec.moe) return gguf.wrong("minimax-m2.expert_count", "a positive number");
  spec.moe->normalise = true;  // the format has it implied
  return {};
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  const std::string prefix = layer_prefix(layer) + "block_sparse_moe.";
  const int experts = spec.moe->experts;
  MixtureWeights& m = w.mixture;
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(loader.matrix(prefix + "gate.weight", experts, spec.hidden, &m.router));
  HEARTH_RETURN_IF_ERROR(
      loader.vector(prefix + "e_score_correction_bias", experts, &m.choice_bias));
  const bool apart = loader.has(prefix + "experts.0.w1.weight");
  return load_experts(loader, prefix + "experts.", spec, m, apart ? kExpertNames : ExpertNames());
}

}  // namespace

const ArchitectureCode kMinimaxM2 = {.architecture = Architecture::kMinimaxM2,
                                     .model_types = kModelTypes,
                                     .gguf_names = kGgufNames,
                                     .tensor_names = kTensorNames,
                                     .set_defaults = set_defaults,
                                     .read_config = read_config,
                                     .read_gguf = read_gguf,
                                     .load_layer = load_layer,
                                     .attention = grouped_query_attention,
                                     .feed_forward = mixture_of_experts};

}  // namespace hearth::engine
