// Qwen 2 and 2.5 (https://arxiv.org/abs/2407.10671): Llama with biases on Q, K and V.
#include "engine/models/architecture.h"

namespace hearth::engine {
namespace {

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  HEARTH_RETURN_IF_ERROR(load_decoder_layer(loader, spec, layer, w));
  const std::string prefix = layer_prefix(layer) + "self_attn.";
  HEARTH_RETURN_IF_ERROR(loader.vector(prefix + "q_proj.bias", w.q.rows, &w.q_bias));
  HEARTH_RETURN_IF_ERROR(loader.vector(prefix + "k_proj.bias", w.k.rows, &w.k_bias));
  return loader.vector(prefix + "v_proj.bias", w.v.rows, &w.v_bias);
}

void run_layer(Pass& pass, const LayerWeights& w, int layer) {
  Activations& a = pass.activations();

  // x += O attention(rope(Q h + q), rope(K h + k), V h + v) with h = norm(x)
  const Tiles h = pass.normed_tiles(a.x, w.attention_norm, {&w.q, &w.k, &w.v});
  pass.multiply(h, {{.matrix = &w.q, .out = a.q, .bias = &w.q_bias},    // [rows, heads * head_dim]
                    {.matrix = &w.k, .out = a.k, .bias = &w.k_bias},    // [rows, kv_heads * ...]
                    {.matrix = &w.v, .out = a.v, .bias = &w.v_bias}});  // [rows, kv_heads * ...]
  pass.barrier();
  pass.rotate_heads();
  pass.store_keys_and_values(layer);
  pass.barrier();
  pass.attend(layer);
  pass.barrier();
  pass.multiply(pass.tiles(a.attention, w.o.columns, w.o),
                {{.matrix = &w.o, .out = a.x, .add = true}});
  pass.barrier();

  pass.feed_forward(w);
  pass.barrier();
}

}  // namespace

const ArchitectureCode kQwen2 = {load_layer, run_layer};

}  // namespace hearth::engine
