#include <algorithm>

#include "engine/models/blocks.h"

namespace hearth::engine {

using kernels::kBlockRows;

void gated_product(Pass& pass, const Tiles& h, const FeedForwardWeights& w, float* out, bool add) {
  Activations& a = pass.activations();
  const int64_t width = w.width();
  // The same columns of both products fall to the same worker, so it can combine them at once.
  pass.deal(w.gate.blocks(), [&](Range blocks) {
    pass.multiply_blocks(h, w.gate, blocks, a.gate, width);
    pass.multiply_blocks(h, w.up, blocks, a.up, width);
    pass.activate(a.gate, a.up, pass.rows(), width, blocks.begin * kBlockRows,
                  std::min(blocks.end * kBlockRows, width));
  });
  pass.barrier();
  pass.multiply(pass.tiles(a.gate, width, {&w.down}),
                {{.matrix = &w.down, .out = out, .add = add}});
  pass.barrier();
}

void feed_forward(Pass& pass, const LayerWeights& w) {
  const Tiles h =
      pass.normed_tiles(pass.x(), w.ffn_norm, pass.spec().norm_epsilon, {&w.ffn.gate, &w.ffn.up});
  const Pass::Branch branch = pass.branch(w.ffn_out_norm);
  gated_product(pass, h, w.ffn, branch.out, branch.add);
  pass.finish(branch, w.ffn_out_norm);
}

void feed_forward_or_mixture(Pass& pass, const LayerWeights& w) {
  if (w.mixture.experts.empty()) {
    feed_forward(pass, w);
  } else {
    mixture_of_experts(pass, w);
  }
}

}  // namespace hearth::engine
