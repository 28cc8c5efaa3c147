#include "engine/models/layers.h"

#include "engine/models/architecture.h"

namespace hearth::engine {

std::string layer_prefix(int layer) { return "model.layers." + std::to_string(layer) + "."; }

Result<void> load_norms(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  const std::string prefix = layer_prefix(layer);
  HEARTH_RETURN_IF_ERROR(
      loader.norm(prefix + "input_layernorm.weight", spec.hidden, &w.attention_norm));
  return loader.norm(prefix + "post_attention_layernorm.weight", spec.hidden, &w.ffn_norm);
}

Result<void> load_attention(WeightLoader& loader, const ModelSpec& spec, int layer,
                            LayerWeights& w) {
  const std::string prefix = layer_prefix(layer) + "self_attn.";
  const int64_t query = int64_t{spec.heads} * spec.head_dim;
  const int64_t key = int64_t{spec.kv_heads} * spec.head_dim;
  const int64_t value = int64_t{spec.kv_heads} * spec.value_dim;
  struct Projection {
    const char* name;
    int64_t rows;
    PackedMatrix* matrix;
    std::vector<float>* bias;
  };
  for (const Projection& p :
       {Projection{"q_proj", query, &w.q, &w.q_bias}, Projection{"k_proj", key, &w.k, &w.k_bias},
        Projection{"v_proj", value, &w.v, &w.v_bias}}) {
    HEARTH_RETURN_IF_ERROR(
        loader.matrix(prefix + p.name + ".weight", p.rows, spec.hidden, p.matrix));
    if (!spec.attention_bias) continue;
    HEARTH_RETURN_IF_ERROR(loader.vector(prefix + p.name + ".bias", p.rows, p.bias));
  }
  if (spec.qk_norm) {
    HEARTH_RETURN_IF_ERROR(loader.norm(prefix + "q_norm.weight", spec.head_dim, &w.q_norm));
    HEARTH_RETURN_IF_ERROR(loader.norm(prefix + "k_norm.weight", spec.head_dim, &w.k_norm));
  }
  // Of the architectures whose Q, K and V have biases, some have one here too.
  if (spec.attention_bias && loader.has(prefix + "o_proj.bias")) {
    HEARTH_RETURN_IF_ERROR(loader.vector(prefix + "o_proj.bias", spec.hidden, &w.o_bias));
  }
  return loader.matrix(prefix + "o_proj.weight", spec.hidden, int64_t{spec.heads} * spec.value_dim,
                       &w.o);
}

Result<void> load_feed_forward(WeightLoader& loader, const std::string& prefix, int64_t hidden,
                               int64_t width, FeedForwardWeights& w) {
  HEARTH_RETURN_IF_ERROR(loader.matrix(prefix + "gate_proj.weight", width, hidden, &w.gate));
  HEARTH_RETURN_IF_ERROR(loader.matrix(prefix + "up_proj.weight", width, hidden, &w.up));
  return loader.matrix(prefix + "down_proj.weight", hidden, width, &w.down);
}

Result<void> load_experts(WeightLoader& loader, const std::string& prefix, const ModelSpec& spec,
                          MixtureWeights& w) {
  const MoeSpec& moe = *spec.moe;
  w.experts.resize(moe.experts);
  for (int e = 0; e < moe.experts; ++e) {
    FeedForwardWeights& expert = w.experts[e];
    const auto load = [&](const char* name, int64_t rows, int64_t columns, PackedMatrix* out) {
      return loader.expert(prefix, name, e, moe.experts, rows, columns, out);
    };
    HEARTH_RETURN_IF_ERROR(load("gate_proj.weight", moe.ffn, spec.hidden, &expert.gate));
    HEARTH_RETURN_IF_ERROR(load("up_proj.weight", moe.ffn, spec.hidden, &expert.up));
    HEARTH_RETURN_IF_ERROR(load("down_proj.weight", spec.hidden, moe.ffn, &expert.down));
  }
  return {};
}

Result<void> collect_weights(WeightLoader& loader, const ModelSpec& spec, const Shard& shard,
                             Weights& weights) {
  const std::string embedding = "model.embed_tokens.weight";
  const ArchitectureCode& code = code_of(spec.architecture);
  weights.layers.resize(shard.layers());
  if (shard.first()) {
    loader.begin(ModelTensor::kEmbedding);
    HEARTH_RETURN_IF_ERROR(loader.matrix(embedding, spec.vocab, spec.hidden, &weights.embedding));
  }
  for (int i = 0; i < shard.layers(); ++i) {
    const int layer = shard.layer_begin + i;
    loader.begin(layer);
    HEARTH_RETURN_IF_ERROR(code.load_layer(loader, spec, layer, weights.layers[i]));
  }
  if (!shard.last(spec.layers)) return {};
  loader.begin(ModelTensor::kHead);
  HEARTH_RETURN_IF_ERROR(loader.norm("model.norm.weight", spec.hidden, &weights.final_norm));
  if (!spec.tied_embedding) {
    return loader.matrix("lm_head.weight", spec.vocab, spec.hidden, &weights.head);
  }
  // The first stage has a tied head already, as its embedding.
  if (shard.first()) return {};
  return loader.matrix(embedding, spec.vocab, spec.hidden, &weights.head);
}

}  // namespace hearth::engine
