#include <cstring>

#include "engine/models/blocks.h"

namespace hearth::engine {
namespace {

// DeepSeek's models norm the compressed query and the latent with this, whatever their epsilon is
// elsewhere (https://huggingface.co/deepseek-ai/DeepSeek-V3, modeling_deepseek.py).
constexpr float kLatentEpsilon = 1e-6f;

// x += O attention + b
void multiply_output(Pass& pass, const LayerWeights& w) {
  const Pass::Branch branch = pass.branch(w.attention_out_norm);
  pass.multiply(pass.tiles(pass.activations().attention, w.o.columns, {&w.o}),
                {{.matrix = &w.o, .out = branch.out, .bias = &w.o_bias, .add = branch.add}});
  pass.barrier();
  pass.finish(branch, w.attention_out_norm);
}

}  // namespace

void grouped_query_attention(Pass& pass, const LayerWeights& w, int layer) {
  const ModelSpec& spec = pass.spec();
  Activations& a = pass.activations();
  const Tiles h =
      pass.normed_tiles(pass.x(), w.attention_norm, spec.norm_epsilon, {&w.q, &w.k, &w.v});
  pass.multiply(h, {{.matrix = &w.q, .out = a.q, .bias = &w.q_bias},
                    {.matrix = &w.k, .out = a.k, .bias = &w.k_bias},
                    {.matrix = &w.v, .out = a.v, .bias = &w.v_bias}});
  if (spec.attention_gate) pass.multiply(h, {{.matrix = &w.gate, .out = a.attention_gate}});
  pass.barrier();
  if (spec.qk_norm_whole) {
    pass.norm_whole(w.q_norm, w.k_norm);
  } else if (spec.qk_norm) {
    pass.norm_heads(w.q_norm, w.k_norm);
  }
  pass.rotate_heads(layer);
  pass.store_keys_and_values(layer);
  if (!pass.attends_own_heads()) pass.barrier();
  pass.attend(layer, {.queries = a.q,
                      .out = a.attention,
                      .sinks = &w.sinks,
                      .gates = spec.attention_gate ? a.attention_gate : nullptr});
  pass.barrier();
  multiply_output(pass, w);
}

namespace {

// The query of every head, [nope | rotary], by way of its compressed form where the model has one.
void latent_queries(Pass& pass, const LayerWeights& w, const Tiles& h) {
  Activations& a = pass.activations();
  if (w.q_down.rows == 0) {
    pass.multiply(
        h, {{.matrix = &w.q, .out = a.q}, {.matrix = &w.kv_down, .out = a.latent.key_value}});
    pass.barrier();
    return;
  }
  pass.multiply(h, {{.matrix = &w.q_down, .out = a.latent.query},
                    {.matrix = &w.kv_down, .out = a.latent.key_value}});
  pass.barrier();
  pass.multiply(pass.normed_tiles(a.latent.query, w.q_down_norm, kLatentEpsilon, {&w.q}),
                {{.matrix = &w.q, .out = a.q}});
  pass.barrier();
}

// Norms each row's latent and rotates its shared key, and stores both; rotates the queries' rotary
// parts into the absorbed queries [latent | rotary].
void rotate_and_store(Pass& pass, const LayerWeights& w, int layer) {
  const ModelSpec& spec = pass.spec();
  const LatentAttentionSpec& dims = *spec.latent;
  const int64_t key_dim = dims.latent_dim + dims.rotary_dim;
  Activations& a = pass.activations();
  const Range range = pass.part(pass.rows());
  for (int64_t row = range.begin; row < range.end; ++row) {
    float* latent = a.latent.key_value + row * key_dim;
    pass.kernels().rms_norm(latent, w.latent_norm.data(), dims.latent_dim, kLatentEpsilon, latent);
    pass.rotate(row, layer, latent + dims.latent_dim);
    pass.store(row, layer, 0, latent, latent);
    for (int64_t head = 0; head < spec.heads; ++head) {
      const float* query = a.q + (row * spec.heads + head) * spec.head_dim + dims.nope_dim;
      float* absorbed = a.latent.absorbed + (row * spec.heads + head) * key_dim + dims.latent_dim;
      std::memcpy(absorbed, query, sizeof(float) * dims.rotary_dim);
      pass.rotate(row, layer, absorbed);
    }
  }
}

}  // namespace

void latent_attention(Pass& pass, const LayerWeights& w, int layer) {
  const ModelSpec& spec = pass.spec();
  const LatentAttentionSpec& dims = *spec.latent;
  const int64_t key_dim = dims.latent_dim + dims.rotary_dim;
  const int64_t heads = spec.heads;
  Activations& a = pass.activations();
  const PackedMatrix& first = w.q_down.rows == 0 ? w.q : w.q_down;
  latent_queries(
      pass, w,
      pass.normed_tiles(pass.x(), w.attention_norm, spec.norm_epsilon, {&first, &w.kv_down}));
  rotate_and_store(pass, w, layer);
  if (!w.keys_to_latent.empty()) {
    pass.multiply_each(w.keys_to_latent, a.q, heads * spec.head_dim, spec.head_dim,
                       a.latent.absorbed, heads * key_dim, key_dim);
  } else {
    pass.multiply_each_transposed(w.latent_to_keys, a.q, heads * spec.head_dim, spec.head_dim,
                                  a.latent.absorbed, heads * key_dim, key_dim);
  }
  pass.barrier();
  pass.attend(layer, {.queries = a.latent.absorbed, .out = a.latent.mixed});
  pass.barrier();
  pass.multiply_each(w.latent_to_value, a.latent.mixed, heads * dims.latent_dim, dims.latent_dim,
                     a.attention, heads * dims.value_dim, dims.value_dim);
  pass.barrier();
  multiply_output(pass, w);
}

}  // namespace hearth::engine
