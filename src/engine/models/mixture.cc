// Mixture of experts. A token's result does not depend on the other tokens of the pass: its experts
// are chosen from its own scores, each expert treats its rows one by one, and what they give is
// added up in the order in which they were chosen.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "engine/models/blocks.h"

namespace hearth::engine {
namespace {

using kernels::kBlockRows;
using kernels::kTileRows;

constexpr float kHidden = -std::numeric_limits<float>::infinity();

void softmax(float* x, int n) {
  const float max = *std::max_element(x, x + n);
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - max);
  for (int i = 0; i < n; ++i) x[i] /= sum;
}

// The sum of the two best merits of a group.
float merit_of_group(const float* merits, int size) {
  float best = kHidden;
  float second = kHidden;
  for (int i = 0; i < size; ++i) {
    second = std::max(second, std::min(best, merits[i]));
    best = std::max(best, merits[i]);
  }
  return size > 1 ? best + second : best;
}

// Hides all but the best groups of experts in `merits`.
void keep_best_groups(const MoeSpec& moe, float* merits) {
  const int size = moe.experts / moe.groups;
  std::vector<float> groups(moe.groups);
  for (int g = 0; g < moe.groups; ++g) groups[g] = merit_of_group(merits + g * size, size);
  std::vector<bool> kept(moe.groups);
  for (int i = 0; i < moe.groups_used; ++i) {
    const auto best = std::max_element(groups.begin(), groups.end()) - groups.begin();
    kept[best] = true;
    groups[best] = kHidden;
  }
  for (int g = 0; g < moe.groups; ++g) {
    if (!kept[g]) std::fill(merits + g * size, merits + (g + 1) * size, kHidden);
  }
}

// The experts of one row from its scores [experts], best first, and their weights. `merits`
// [experts] is scratch.
void choose(const MoeSpec& moe, const std::vector<float>& choice_bias, float* scores, float* merits,
            int32_t* chosen, float* weights) {
  if (moe.scoring == ExpertScoring::kSoftmax) softmax(scores, moe.experts);
  if (moe.scoring == ExpertScoring::kSigmoid) {
    for (int e = 0; e < moe.experts; ++e) scores[e] = 1 / (1 + std::exp(-scores[e]));
  }
  std::copy_n(scores, moe.experts, merits);
  for (size_t e = 0; e < choice_bias.size(); ++e) merits[e] += choice_bias[e];
  if (moe.groups > 1) keep_best_groups(moe, merits);
  for (int j = 0; j < moe.used; ++j) {
    const auto best = std::max_element(merits, merits + moe.experts) - merits;
    chosen[j] = static_cast<int32_t>(best);
    weights[j] = scores[best];
    merits[best] = kHidden;
  }
  if (moe.scoring == ExpertScoring::kSoftmaxOfChosen) softmax(weights, moe.used);
  float scale = moe.weight_scale;
  if (moe.normalise) scale /= std::accumulate(weights, weights + moe.used, 1e-20f);
  for (int j = 0; j < moe.used; ++j) weights[j] *= scale;
}

// Scores of all experts, then the choice, row by row.
void route(Pass& pass, const LayerWeights& w) {
  const ModelSpec& spec = pass.spec();
  const MoeSpec& moe = *spec.moe;
  Activations& a = pass.activations();
  const MixtureWeights& m = w.mixture;
  const Range range = pass.part(pass.rows());
  for (int64_t r = range.begin; r < range.end; ++r) {
    pass.kernels().rms_norm(pass.x() + r * spec.hidden, w.ffn_norm.data(), spec.hidden,
                            spec.norm_epsilon, a.mixture.normed + r * spec.hidden);
  }
  pass.barrier();
  pass.multiply(pass.tiles(a.mixture.normed, spec.hidden, {&m.router}),
                {{.matrix = &m.router, .out = a.mixture.scores, .bias = &m.router_bias}});
  pass.barrier();
  for (int64_t r = range.begin; r < range.end; ++r) {
    choose(moe, m.choice_bias, a.mixture.scores + r * moe.experts, pass.own().scores,
           a.mixture.chosen + r * moe.used, a.mixture.weights + r * moe.used);
  }
  pass.barrier();
}

// Sorts the chosen (row, place) pairs by expert; every worker does so for itself.
void sort_by_expert(Pass& pass) {
  const MoeSpec& moe = *pass.spec().moe;
  Activations::Private& own = pass.own();
  const int32_t* chosen = pass.activations().mixture.chosen;
  const int count = pass.rows() * moe.used;
  std::fill_n(own.begins, moe.experts + 1, 0);
  for (int i = 0; i < count; ++i) ++own.begins[chosen[i] + 1];
  std::partial_sum(own.begins, own.begins + moe.experts + 1, own.begins);
  for (int i = 0; i < count; ++i) {
    const int32_t place = own.begins[chosen[i]]++;
    own.order[place] = i / moe.used;
    own.places[i] = place;
  }
  for (int e = moe.experts; e > 0; --e) own.begins[e] = own.begins[e - 1];
  own.begins[0] = 0;
}

// Calls body(expert, blocks) for this worker's parts of all experts' blocks, each weighed by the
// tiles of rows that it multiplies.
template <class BlocksOf, class Body>
void for_each_share(Pass& pass, BlocksOf blocks_of, Body body) {
  const MoeSpec& moe = *pass.spec().moe;
  const int32_t* begins = pass.own().begins;
  const auto weight = [&](int e) {
    return (int64_t{begins[e + 1]} - begins[e] + kTileRows - 1) / kTileRows;
  };
  int64_t total = 0;
  for (int e = 0; e < moe.experts; ++e) total += weight(e) * blocks_of(e);
  pass.deal(total, [&](Range range) {
    int64_t first = 0;
    for (int e = 0; e < moe.experts; ++e) {
      const int64_t unit = weight(e);
      if (unit == 0) continue;
      const auto block_at = [&](int64_t at) {  // the first block that starts at `at` or later
        return std::clamp<int64_t>((at - first + unit - 1) / unit, 0, blocks_of(e));
      };
      const Range blocks{block_at(range.begin), block_at(range.end)};
      if (blocks.begin < blocks.end) body(e, blocks);
      first += unit * blocks_of(e);
    }
  });
}

// Calls body(first, count) for the rows of an expert, some at a time.
template <class Body>
void for_each_chunk(const Activations::Private& own, int expert, Body body) {
  for (int first = own.begins[expert]; first < own.begins[expert + 1]; first += kPrivateRows) {
    body(first, std::min(kPrivateRows, own.begins[expert + 1] - first));
  }
}

const float* bias_of(const std::vector<float>& biases, int64_t expert, int64_t width) {
  return biases.empty() ? nullptr : biases.data() + expert * width;
}

// gate = activation(gate h, up h), rows sorted by expert.
void expand(Pass& pass, const MixtureWeights& m) {
  Activations::Mixture& a = pass.activations().mixture;
  const int64_t hidden = pass.spec().hidden;
  const int64_t widest = pass.spec().moe->ffn;
  const auto blocks_of = [&](int e) { return m.experts[e].gate.blocks(); };
  for_each_share(pass, blocks_of, [&](int e, Range blocks) {
    const FeedForwardWeights& w = m.experts[e];
    const int64_t width = w.width();
    for_each_chunk(pass.own(), e, [&](int64_t first, int count) {
      const RowsView x{a.normed, hidden, hidden, pass.own().order + first};
      const Tiles tiles = pass.own_tiles(x, count, {&w.gate, &w.up});
      float* gate = a.gate + first * widest;
      float* up = a.up + first * widest;
      pass.multiply_blocks(tiles, w.gate, blocks, gate, width, bias_of(m.gate_bias, e, widest));
      pass.multiply_blocks(tiles, w.up, blocks, up, width, bias_of(m.up_bias, e, widest));
      pass.activate(gate, up, count, width, blocks.begin * kBlockRows,
                    std::min(blocks.end * kBlockRows, width));
    });
  });
}

// Whether this rank has something to give of an expert.
bool gives(const MixtureWeights& m, int expert) {
  return m.experts[expert].width() > 0 || !m.down_bias.empty();
}

// out = down gate, rows sorted by expert.
void contract(Pass& pass, const MixtureWeights& m) {
  Activations::Mixture& a = pass.activations().mixture;
  const int64_t hidden = pass.spec().hidden;
  const int64_t widest = pass.spec().moe->ffn;
  const auto blocks_of = [&](int e) { return gives(m, e) ? m.experts[e].down.blocks() : 0; };
  for_each_share(pass, blocks_of, [&](int e, Range blocks) {
    const PackedMatrix& down = m.experts[e].down;
    for_each_chunk(pass.own(), e, [&](int64_t first, int count) {
      const RowsView gate{a.gate + first * widest, down.columns, down.columns};
      const Tiles tiles = pass.own_tiles(gate, count, {&down});
      pass.multiply_blocks(tiles, down, blocks, a.out + first * hidden, hidden,
                           bias_of(m.down_bias, e, hidden));
    });
  });
}

// x += weight * y
void add_scaled(float* x, float weight, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += weight * y[i];
}

void combine(Pass& pass, const MixtureWeights& m, const Pass::Branch& branch) {
  const MoeSpec& moe = *pass.spec().moe;
  const int64_t hidden = pass.spec().hidden;
  Activations& a = pass.activations();
  const Range range = pass.part(pass.rows());
  for (int64_t r = range.begin; r < range.end; ++r) {
    float* out = branch.out + r * hidden;
    if (!branch.add) std::fill_n(out, hidden, 0.0f);
    for (int64_t i = r * moe.used; i < (r + 1) * moe.used; ++i) {
      if (!gives(m, a.mixture.chosen[i])) continue;
      add_scaled(out, a.mixture.weights[i], a.mixture.out + pass.own().places[i] * hidden, hidden);
    }
  }
}

// The shared experts of normed rows, weighted by a sigmoid where the model has a gate for them.
void add_shared(Pass& pass, const MixtureWeights& m, float* out) {
  Activations& a = pass.activations();
  const int64_t hidden = pass.spec().hidden;
  const FeedForwardWeights& w = m.shared;
  const bool weighted = m.shared_gate.rows > 0;
  const PackedMatrix& last = weighted ? m.shared_gate : w.up;
  const Tiles h = pass.tiles(a.mixture.normed, hidden, {&w.gate, &w.up, &last});
  if (weighted) pass.multiply(h, {{.matrix = &m.shared_gate, .out = a.mixture.shared_weight}});
  // Of what the other experts gave, all has been added.
  gated_product(pass, h, w, weighted ? a.mixture.out : out, !weighted);
  if (!weighted) return;
  const Range range = pass.part(pass.rows());
  for (int64_t r = range.begin; r < range.end; ++r) {
    const float weight = 1 / (1 + std::exp(-a.mixture.shared_weight[r]));
    add_scaled(out + r * hidden, weight, a.mixture.out + r * hidden, hidden);
  }
}

}  // namespace

void mixture_of_experts(Pass& pass, const LayerWeights& w) {
  route(pass, w);
  sort_by_expert(pass);
  expand(pass, w.mixture);
  pass.barrier();
  contract(pass, w.mixture);
  pass.barrier();
  const Pass::Branch branch = pass.branch(w.ffn_out_norm);
  combine(pass, w.mixture, branch);
  if (w.mixture.shared.down.rows > 0) {
    pass.barrier();
    add_shared(pass, w.mixture, branch.out);
  }
  pass.barrier();
  pass.finish(branch, w.ffn_out_norm);
}

}  // namespace hearth::engine
