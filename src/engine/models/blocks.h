// The layers' two halves, from the pass's building blocks: what attention and feed-forward layers
// are made of in every architecture, as far as they agree. Each starts with the residual stream x
// complete and ends with a barrier after which x holds its result, or will after Pass::settle().
#pragma once

#include "engine/models/pass.h"
#include "engine/models/weights.h"

namespace hearth::engine {

// Grouped-query attention (https://arxiv.org/abs/2305.13245):
//   x += O attention(rope(norm(Q h + b)), rope(norm(K h + b)), V h + b) + b,  h = norm(x)
// with the biases, norms, sinks, gates and the norm of the output that the weights have. `layer`
// counts from the shard's first.
void grouped_query_attention(Pass& pass, const LayerWeights& w, int layer);

// Multi-head latent attention in its absorbed form (LatentAttentionSpec): queries are carried into
// the latent space, so that all heads attend over the one cached vector a token.
void latent_attention(Pass& pass, const LayerWeights& w, int layer);

// Gated delta net (DeltaNetSpec):
//   x += out (norm(S^T q) * silu(z)),  q, k, v, z, a, b = projections of h = norm(x)
void gated_delta_net(Pass& pass, const LayerWeights& w, int layer);

// out (+)= down (activation(gate h) * up h), [rows, hidden]. Ends with a barrier.
void gated_product(Pass& pass, const Tiles& h, const FeedForwardWeights& w, float* out, bool add);

// x += down (activation(gate h) * up h), h = norm(x)
void feed_forward(Pass& pass, const LayerWeights& w);

// x += sum over the chosen experts e of weight_e expert_e(h), plus the shared experts, h = norm(x)
void mixture_of_experts(Pass& pass, const LayerWeights& w);

// Whichever of the two the layer has.
void feed_forward_or_mixture(Pass& pass, const LayerWeights& w);

}  // namespace hearth::engine
