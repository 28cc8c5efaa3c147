// Llama (Touvron et al., https://arxiv.org/abs/2302.13971; Llama 3,
// https://arxiv.org/abs/2407.21783) and Mistral without a sliding window, which has the same
// layers.
#include "engine/models/architecture.h"

namespace hearth::engine {
namespace {

void run_layer(Pass& pass, const LayerWeights& w, int layer) {
  Activations& a = pass.activations();

  // x += O attention(rope(Q h), rope(K h), V h) with h = norm(x)
  const Tiles h = pass.normed_tiles(a.x, w.attention_norm, {&w.q, &w.k, &w.v});
  pass.multiply(h, {{.matrix = &w.q, .out = a.q},    // [rows, heads * head_dim]
                    {.matrix = &w.k, .out = a.k},    // [rows, kv_heads * head_dim]
                    {.matrix = &w.v, .out = a.v}});  // [rows, kv_heads * head_dim]
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

const ArchitectureCode kLlama = {load_decoder_layer, run_layer};

}  // namespace hearth::engine
