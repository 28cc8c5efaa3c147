// Qwen 3 (https://arxiv.org/abs/2505.09388): Llama with an RMSNorm over each head of Q and K.
#include "engine/models/architecture.h"

namespace hearth::engine {
namespace {

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  HEARTH_RETURN_IF_ERROR(load_decoder_layer(loader, spec, layer, w));
  const std::string prefix = layer_prefix(layer) + "self_attn.";
  HEARTH_RETURN_IF_ERROR(loader.vector(prefix + "q_norm.weight", spec.head_dim, &w.q_norm));
  return loader.vector(prefix + "k_norm.weight", spec.head_dim, &w.k_norm);
}

void run_layer(Pass& pass, const LayerWeights& w, int layer) {
  Activations& a = pass.activations();

  // x += O attention(rope(norm(Q h)), rope(norm(K h)), V h) with h = norm(x)
  const Tiles h = pass.normed_tiles(a.x, w.attention_norm, {&w.q, &w.k, &w.v});
  pass.multiply(h, {{.matrix = &w.q, .out = a.q},    // [rows, heads * head_dim]
                    {.matrix = &w.k, .out = a.k},    // [rows, kv_heads * head_dim]
                    {.matrix = &w.v, .out = a.v}});  // [rows, kv_heads * head_dim]
  pass.barrier();
  pass.norm_heads(w.q_norm, w.k_norm);
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

const ArchitectureCode kQwen3 = {load_layer, run_layer};

}  // namespace hearth::engine
