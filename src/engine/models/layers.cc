#include "engine/models/layers.h"

#include <algorithm>

#include "engine/models/architecture.h"

namespace hearth::engine {

std::string layer_prefix(int layer) { return "model.layers." + std::to_string(layer) + "."; }

Choice rows_of(Range units, int64_t width, int64_t first) {
  return {.first = first + units.begin * width, .count = units.size() * width};
}

Result<void> load_norms(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  const std::string prefix = layer_prefix(layer);
  HEARTH_RETURN_IF_ERROR(
      loader.norm(prefix + "input_layernorm.weight", spec.hidden, &w.attention_norm));
  return loader.norm(prefix + "post_attention_layernorm.weight", spec.hidden, &w.ffn_norm);
}

Result<void> load_attention(WeightLoader& loader, const ModelSpec& spec, int layer,
                            LayerWeights& w) {
  const std::string prefix = layer_prefix(layer) + "self_attn.";
  const Slice& slice = loader.slice();
  const bool gated = spec.attention_gate;
  if (gated) {  // q_proj holds each head's query, then its gate
    const auto half = [&](int64_t first, PackedMatrix* out) {
      Choice rows = rows_of(slice.heads, spec.head_dim);
      rows.first = first + 2 * rows.first;
      rows.step = 2 * spec.head_dim;
      rows.run = spec.head_dim;
      return loader.part(prefix + "q_proj.weight", int64_t{2} * spec.heads * spec.head_dim,
                         spec.hidden, rows, out);
    };
    HEARTH_RETURN_IF_ERROR(half(0, &w.q));
    HEARTH_RETURN_IF_ERROR(half(spec.head_dim, &w.gate));
  }
  struct Projection {
    const char* name;
    int64_t heads;
    int64_t width;
    Range own;
    PackedMatrix* matrix;
    std::vector<float>* bias;
  };
  for (const Projection& p :
       {Projection{"q_proj", spec.heads, spec.head_dim, slice.heads, &w.q, &w.q_bias},
        Projection{"k_proj", spec.kv_heads, spec.head_dim, slice.kv_heads, &w.k, &w.k_bias},
        Projection{"v_proj", spec.kv_heads, spec.value_dim, slice.kv_heads, &w.v, &w.v_bias}}) {
    if (gated && p.matrix == &w.q) continue;
    HEARTH_RETURN_IF_ERROR(loader.part(prefix + p.name + ".weight", p.heads * p.width, spec.hidden,
                                       rows_of(p.own, p.width), p.matrix));
    if (!spec.attention_bias) continue;
    HEARTH_RETURN_IF_ERROR(loader.vector_part(prefix + p.name + ".bias", p.heads * p.width,
                                              {p.own.begin * p.width, p.own.end * p.width},
                                              p.bias));
  }
  if (spec.qk_norm) {
    const auto norm = [&](const char* name, int64_t heads, Range own, std::vector<float>* out) {
      if (!spec.qk_norm_whole) return loader.norm(prefix + name, spec.head_dim, out);
      return loader.norm_part(prefix + name, heads * spec.head_dim,
                              {own.begin * spec.head_dim, own.end * spec.head_dim}, out);
    };
    HEARTH_RETURN_IF_ERROR(norm("q_norm.weight", spec.heads, slice.heads, &w.q_norm));
    HEARTH_RETURN_IF_ERROR(norm("k_norm.weight", spec.kv_heads, slice.kv_heads, &w.k_norm));
  }
  // Of the architectures whose Q, K and V have biases, some have one here too.
  if (slice.first() && spec.attention_bias && loader.has(prefix + "o_proj.bias")) {
    HEARTH_RETURN_IF_ERROR(loader.vector(prefix + "o_proj.bias", spec.hidden, &w.o_bias));
  }
  return load_attention_output(loader, prefix + "o_proj.weight", spec, w);
}

Result<void> load_attention_output(WeightLoader& loader, const std::string& name,
                                   const ModelSpec& spec, LayerWeights& w) {
  const int64_t width = spec.value_dim;
  const Range heads = loader.slice().heads;
  return loader.joint(Joint::kAttention, name, spec.hidden, spec.heads * width,
                      {.count = spec.hidden}, {heads.begin * width, heads.end * width}, &w.o);
}

namespace {

Result<void> load_gated(WeightLoader& loader, const std::string& prefix, int64_t hidden,
                        int64_t width, Range own, Joint joint, FeedForwardWeights& w) {
  const Choice rows = rows_of(own, 1);
  HEARTH_RETURN_IF_ERROR(loader.part(prefix + "gate_proj.weight", width, hidden, rows, &w.gate));
  HEARTH_RETURN_IF_ERROR(loader.part(prefix + "up_proj.weight", width, hidden, rows, &w.up));
  return loader.joint(joint, prefix + "down_proj.weight", hidden, width, {.count = hidden}, own,
                      &w.down);
}

}  // namespace

Result<void> load_feed_forward(WeightLoader& loader, const std::string& prefix,
                               const ModelSpec& spec, FeedForwardWeights& w) {
  return load_gated(loader, prefix, spec.hidden, spec.ffn, loader.slice().ffn, Joint::kFeedForward,
                    w);
}

Result<void> load_shared_experts(WeightLoader& loader, const std::string& prefix,
                                 const ModelSpec& spec, FeedForwardWeights& w) {
  return load_gated(loader, prefix, spec.hidden, spec.moe->shared_ffn, loader.slice().shared_ffn,
                    Joint::kSharedExperts, w);
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
                         rows_of(loader.slice().experts[e], 1, e * both + first), out);
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
    HEARTH_RETURN_IF_ERROR(loader.joint(Joint::kExperts, name, int64_t{moe.experts} * spec.hidden,
                                        moe.ffn, {.first = e * spec.hidden, .count = spec.hidden},
                                        loader.slice().experts[e], &w.experts[e].down));
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
    const Range own = loader.slice().experts[e];
    const auto load = [&](const char* name, PackedMatrix* out) {
      const auto place = loader.place_of_expert(prefix, name, e, moe.experts, moe.ffn);
      return loader.part(place.name, place.rows, spec.hidden, rows_of(own, 1, place.first_row),
                         out);
    };
    HEARTH_RETURN_IF_ERROR(load(names.gate, &expert.gate));
    HEARTH_RETURN_IF_ERROR(load(names.up, &expert.up));
    const auto place = loader.place_of_expert(prefix, names.down, e, moe.experts, spec.hidden);
    HEARTH_RETURN_IF_ERROR(loader.joint(Joint::kExperts, place.name, place.rows, moe.ffn,
                                        {.first = place.first_row, .count = spec.hidden}, own,
                                        &expert.down));
  }
  return {};
}

std::vector<float> own_columns(const std::vector<float>& all, const ModelSpec& spec,
                               const Slice& slice) {
  const int64_t width = slice.expert_width();
  std::vector<float> own(spec.moe->experts * width);
  for (int64_t e = 0; e < spec.moe->experts; ++e) {
    const Range columns = slice.experts[e];
    const auto from = all.begin() + e * spec.moe->ffn;
    std::copy(from + columns.begin, from + columns.end, own.begin() + e * width);
  }
  return own;
}

Result<void> collect_weights(WeightLoader& loader, const ModelSpec& spec, const Shard& shard,
                             Weights& weights) {
  const std::string embedding = "model.embed_tokens.weight";
  const ArchitectureCode& code = code_of(spec.architecture);
  const auto load_words = [&](const std::string& name, PackedMatrix* out) {
    return loader.part(name, spec.vocab, spec.hidden, rows_of(loader.slice().vocab, 1), out);
  };
  weights.layers.resize(shard.layers());
  if (shard.first()) {
    loader.begin(ModelTensor::kEmbedding);
    HEARTH_RETURN_IF_ERROR(load_words(embedding, &weights.embedding));
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
    return load_words("lm_head.weight", &weights.head);
  }
  // The first stage has a tied head already, as its embedding.
  if (shard.first()) return {};
  return load_words(embedding, &weights.head);
}

}  // namespace hearth::engine
