// Gated delta net, token by token: the bits do not depend on how a sequence is cut into steps.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/models/blocks.h"

namespace hearth::engine {
namespace {

// Of the lengths of queries and keys
// (https://github.com/fla-org/flash-linear-attention, fla/modules/l2norm.py).
constexpr float kLengthEpsilon = 1e-6f;

// The columns of one head of q, k or v.
struct Head {
  float* x = nullptr;   // [rows, stride], from the head's first column on
  int64_t stride = 0;   //
  int64_t channel = 0;  // its first
  int dim = 0;          //
  float length = 0;     // that its rows are scaled to; 0: they are not
};

Head head_at(Pass& pass, int64_t index) {
  const DeltaNetSpec& spec = *pass.spec().delta;
  const Activations::Delta& a = pass.activations().delta;
  const float root = std::sqrt(static_cast<float>(spec.key_dim));
  if (index < spec.key_heads) {
    const int64_t column = index * spec.key_dim;
    return {a.q + column, spec.keys(), column, spec.key_dim, 1 / root};
  }
  index -= spec.key_heads;
  if (index < spec.key_heads) {
    const int64_t column = index * spec.key_dim;
    return {a.k + column, spec.keys(), spec.keys() + column, spec.key_dim, 1};
  }
  const int64_t column = (index - spec.key_heads) * spec.value_dim;
  return {a.v + column, spec.values(), 2 * spec.keys() + column, spec.value_dim, 0};
}

// x = silu(convolution over x and `history`), one row; the history moves on by x.
void convolve(Pass& pass, const std::vector<float>& taps, const Head& head, const float* ones,
              float* history, float* x) {
  const DeltaNetSpec& spec = *pass.spec().delta;
  const int kept = spec.kernel - 1;
  float* sums = pass.own().staging;
  std::fill_n(sums, head.dim, 0.0f);
  for (int tap = 0; tap < spec.kernel; ++tap) {
    const float* input = tap < kept ? history + tap * head.dim : x;
    const float* weight = taps.data() + tap * spec.channels() + head.channel;
    for (int d = 0; d < head.dim; ++d) sums[d] += weight[d] * input[d];
  }
  if (kept > 0) {
    std::memmove(history, history + head.dim, sizeof(float) * (kept - 1) * head.dim);
    std::memcpy(history + (kept - 1) * head.dim, x, sizeof(float) * head.dim);
  }
  std::memcpy(x, sums, sizeof(float) * head.dim);
  pass.kernels().silu_mul(x, ones, head.dim);
}

// q, k and v from their projections, whole heads at a time.
void prepare_heads(Pass& pass, const DeltaNetWeights& w, int linear_layer) {
  const DeltaNetSpec& spec = *pass.spec().delta;
  const std::vector<float> ones(std::max(spec.key_dim, spec.value_dim), 1.0f);
  std::vector<float> lengths(spec.key_dim);
  const Range range = pass.part(2 * spec.key_heads + spec.value_heads);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const Head head = head_at(pass, i);
    // x / |x| * length = RMSNorm(x) * length / sqrt(dim)
    const auto dim = static_cast<float>(head.dim);
    std::fill(lengths.begin(), lengths.end(), head.length / std::sqrt(dim));
    for (const Segment& segment : pass.segments()) {
      float* history = pass.recurrent().inputs(linear_layer, segment.slot, head.channel);
      if (segment.position == 0) std::fill_n(history, int64_t{spec.kernel - 1} * head.dim, 0.0f);
      for (int r = 0; r < segment.rows; ++r) {
        float* x = head.x + (segment.first_row + r) * head.stride;
        convolve(pass, w.convolution, head, ones.data(), history, x);
        if (head.length == 0) continue;
        pass.kernels().rms_norm(x, lengths.data(), head.dim, kLengthEpsilon / dim, x);
      }
    }
  }
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// z = norm(S^T q) * silu(z), one value head of one sequence.
void run_head(Pass& pass, const DeltaNetWeights& w, int linear_layer, const Segment& segment,
              int head) {
  const DeltaNetSpec& spec = *pass.spec().delta;
  const Activations::Delta& a = pass.activations().delta;
  float* state = pass.recurrent().memory(linear_layer, segment.slot, head);
  if (segment.position == 0) std::fill_n(state, int64_t{spec.key_dim} * spec.value_dim, 0.0f);
  float* out = pass.own().staging;
  for (int64_t row = segment.first_row; row < segment.first_row + segment.rows; ++row) {
    const int64_t key = row * spec.keys() + pass.key_head(head) * spec.key_dim;
    const int64_t value = row * spec.values() + int64_t{head} * spec.value_dim;
    const int64_t scalar = row * spec.value_heads + head;
    const float time = softplus(a.a[scalar] + w.decay_offset[head]);
    pass.kernels().delta_rule({.state = state,
                               .key_dim = spec.key_dim,
                               .value_dim = spec.value_dim,
                               .query = a.q + key,
                               .key = a.k + key,
                               .value = a.v + value,
                               .decay = std::exp(-w.decay_rate[head] * time),
                               .beta = sigmoid(a.b[scalar]),
                               .out = out});
    pass.kernels().rms_norm(out, w.norm.data(), spec.value_dim, pass.spec().norm_epsilon, out);
    pass.kernels().silu_mul(a.z + value, out, spec.value_dim);
  }
}

}  // namespace

void gated_delta_net(Pass& pass, const LayerWeights& layer_weights, int layer) {
  const DeltaNetWeights& w = layer_weights.delta;
  const DeltaNetSpec& spec = *pass.spec().delta;
  const int linear_layer = pass.linear_index(layer);
  Activations& activations = pass.activations();
  const Activations::Delta& a = activations.delta;
  const Tiles h = pass.normed_tiles(pass.x(), layer_weights.attention_norm,
                                    pass.spec().norm_epsilon, {&w.q, &w.k, &w.v, &w.z, &w.a, &w.b});
  pass.multiply(h, {{.matrix = &w.q, .out = a.q},
                    {.matrix = &w.k, .out = a.k},
                    {.matrix = &w.v, .out = a.v},
                    {.matrix = &w.z, .out = a.z},
                    {.matrix = &w.a, .out = a.a},
                    {.matrix = &w.b, .out = a.b}});
  pass.barrier();
  prepare_heads(pass, w, linear_layer);
  pass.barrier();
  int task = 0;
  for (const Segment& segment : pass.segments()) {
    for (int head = 0; head < spec.value_heads; ++head, ++task) {
      if (task % pass.workers() == pass.worker()) run_head(pass, w, linear_layer, segment, head);
    }
  }
  pass.barrier();
  const Pass::Branch branch = pass.branch(layer_weights.attention_out_norm);
  pass.multiply(pass.tiles(a.z, spec.values(), {&w.out}),
                {{.matrix = &w.out, .out = branch.out, .add = branch.add}});
  pass.barrier();
  pass.finish(branch, layer_weights.attention_out_norm);
}

}  // namespace hearth::engine
