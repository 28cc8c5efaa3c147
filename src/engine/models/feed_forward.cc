#include <algorithm>

#include "engine/models/blocks.h"

namespace hearth::engine {
namespace {

using kernels::kBlockRows;

// out (+)= down (activation(gate h) * up h), h = norm(x)
void gated(Pass& pass, const FeedForwardWeights& w, const std::vector<float>& norm, float* out,
           bool add) {
  Activations& a = pass.activations();
  const int64_t width = w.gate.rows;
  const Tiles h = pass.normed_tiles(a.x, norm, pass.spec().norm_epsilon, {&w.gate, &w.up});
  // The same columns of both products fall to the same worker, so it can combine them at once.
  pass.multiply(h, {{.matrix = &w.gate, .out = a.gate}});
  pass.multiply(h, {{.matrix = &w.up, .out = a.up}});
  const Range blocks = pass.part(w.gate.blocks());
  pass.activate(a.gate, a.up, pass.rows(), width, blocks.begin * kBlockRows,
                std::min(blocks.end * kBlockRows, width));
  pass.barrier();
  pass.multiply(pass.tiles(a.gate, width, {&w.down}),
                {{.matrix = &w.down, .out = out, .add = add}});
}

}  // namespace

void feed_forward(Pass& pass, const LayerWeights& w) {
  Activations& a = pass.activations();
  if (w.ffn_out_norm.empty()) {
    gated(pass, w.ffn, w.ffn_norm, a.x, true);
    pass.barrier();
    return;
  }
  gated(pass, w.ffn, w.ffn_norm, a.branch, false);
  pass.barrier();
  pass.add_normed(a.x, a.branch, w.ffn_out_norm);
  pass.barrier();
}

void feed_forward_or_mixture(Pass& pass, const LayerWeights& w) {
  if (w.mixture.experts.empty()) {
    feed_forward(pass, w);
  } else {
    mixture_of_experts(pass, w);
  }
}

}  // namespace hearth::engine
