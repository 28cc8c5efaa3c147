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
  const bool gated = spec.attention_gate;
  if (gated) {  // q_proj holds each head's query, then its gate
    const auto half = [&](int64_t first, PackedMatrix* out) {
      return loader.part(
          prefix + "q_proj.weight", 2 * query, spec.hidden,
          {.first = first, .count = query, .step = 2 * spec.head_dim, .run = spec.head_dim}, out);
    };
    HEARTH_RETURN_IF_ERROR(half(0, &w.q));
    HEARTH_RETURN_IF_ERROR(half(spec.head_dim, &w.gate));
  }
  for (const Projection& p :
       {Projection{"q_proj", query, &w.q, &w.q_bias}, Projection{"k_proj", key, &w.k, &w.k_bias},
        Projection{"v_proj", value, &w.v, &w.v_bias}}) {
    if (gated && p.matrix == &w.q) continue;
    HEARTH_RETURN_IF_ERROR(
        loader.matrix(prefix + p.name + ".weight", p.rows, spec.hidden, p.matrix));
    if (!spec.attention_bias) continue;
    HEARTH_RETURN_IF_ERROR(loader.vector(prefix + p.name + ".bias", p.rows, p.bias));
  }
  if (spec.qk_norm) {
    const bool whole = spec.qk_norm_whole;
    HEARTH_RETURN_IF_ERROR(
        loader.norm(prefix + "q_norm.weight", whole ? query : spec.head_dim, &w.q_norm));
    HEARTH_RETURN_IF_ERROR(
        loader.norm(prefix + "k_norm.weight", whole ? key : spec.head_dim, &w.k_norm));
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

namespace {

// Gate and up of all experts in the tensor `name`: [experts, gate then up, hidden].
Result<void> load_gate_and_up(WeightLoader& loader, const std::string& name, const ModelSpec& spec,
                              MixtureWeights& w) {
  const MoeSpec& moe = *spec.moe;
  const int64_t both = int64_t{2} * moe.ffn;
  for (int64_t e = 0; e < moe.experts; ++e) {
    const auto half = [&](int64_t first, PackedMatrix* out) {
      return loader.part(name, moe.experts * both, spec.hidden,
                         {.first = e * both + first, .count = moe.ffn}, out);
    };
    HEARTH_RETURN_IF_ERROR(half(0, &w.experts[e].gate));
    HEARTH_RETURN_IF_ERROR(half(moe.ffn, &w.experts[e].up));
  }
  return {};
}

Result<void> load_stacked_down(WeightLoader& loader, const std::string& name, const ModelSpec& spec,
                               MixtureWeights& w) {
  const MoeSpec& moe = *spec.moe;
  for (int64_t e = 0; e < moe.experts; ++e) {
    HEARTH_RETURN_IF_ERROR(loader.part(name, int64_t{moe.experts} * spec.hidden, moe.ffn,
                                       {.first = e * spec.hidden, .count = spec.hidden},
                                       &w.experts[e].down));
  }
  return {};
}

}  // namespace

Result<void> load_experts(WeightLoader& loader, const std::string& prefix, const ModelSpec& spec,
                          MixtureWeights& w, const ExpertNames& names) {
  const MoeSpec& moe = *spec.moe;
  w.experts.resize(moe.experts);
  for (const std::string ending : {"", ".weight"}) {
    if (!loader.has(prefix + "gate_up_proj" + ending)) continue;
    HEARTH_RETURN_IF_ERROR(load_gate_and_up(loader, prefix + "gate_up_proj" + ending, spec, w));
    return load_stacked_down(loader, prefix + "down_proj" + ending, spec, w);
  }
  for (int e = 0; e < moe.experts; ++e) {
    FeedForwardWeights& expert = w.experts[e];
    const auto load = [&](const char* name, int64_t rows, int64_t columns, PackedMatrix* out) {
      return loader.expert(prefix, name, e, moe.experts, rows, columns, out);
    };
    HEARTH_RETURN_IF_ERROR(load(names.gate, moe.ffn, spec.hidden, &expert.gate));
    HEARTH_RETURN_IF_ERROR(load(names.up, moe.ffn, spec.hidden, &expert.up));
    HEARTH_RETURN_IF_ERROR(load(names.down, spec.hidden, moe.ffn, &expert.down));
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
