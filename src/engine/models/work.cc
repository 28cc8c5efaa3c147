#include "engine/work.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

Work of_matrix(const PackedMatrix& matrix) {
  return {.bytes = static_cast<double>(matrix.bytes()),
          .multiply_adds = static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns)};
}

size_t at(int index) { return static_cast<size_t>(index); }

bool is_expert(std::string_view name) { return name.find(".experts.") != std::string_view::npos; }

// Scores and sums of all heads.
double token_multiply_adds(const ModelSpec& spec) {
  const int dims = spec.latent ? 2 * spec.latent->latent_dim + spec.latent->rotary_dim
                               : spec.head_dim + spec.value_dim;
  return static_cast<double>(spec.heads) * dims;
}

}  // namespace

WorkCount::WorkCount(const ModelSpec& spec)
    : spec_(spec), always_(at(spec.layers)), experts_(at(spec.layers)) {}

Result<WorkCount> WorkCount::create(const ModelFiles& files, const LoadOptions& options) {
  const ModelSpec& spec = files.spec();
  WeightLoader loader(files, Slice::whole(spec), options.quantize);
  Weights weights;
  HEARTH_RETURN_IF_ERROR(collect_weights(loader, spec, {0, spec.layers}, weights));
  WorkCount count(spec);
  double quantised = 0;
  double all = 0;
  for (const auto& [tensor, matrix] : loader.matrices()) {
    const Work work = of_matrix(*matrix);
    if (tensor->layer == ModelTensor::kEmbedding) continue;  // some of its rows are copied
    if (tensor->layer == ModelTensor::kHead) {
      count.head_ += work;
      continue;
    }
    (is_expert(tensor->name) ? count.experts_ : count.always_)[at(tensor->layer)] += work;
    all += work.multiply_adds;
    if (matrix->quantised()) quantised += work.multiply_adds;
  }
  if (spec.tied_embedding) count.head_ = of_matrix(weights.embedding);
  count.cached_token_bytes_ = static_cast<double>(kv_token_bytes(spec, options.cached_as()));
  count.token_multiply_adds_ = token_multiply_adds(spec);
  count.quantised_ = options.precision == Precision::kDefault && 2 * quantised > all;
  return count;
}

// Of one sequence.
Work WorkCount::attention(int layer, int position, int rows) const {
  if (spec_.linear(layer)) {  // each row updates the state, and is answered from it
    const auto state = static_cast<double>(spec_.delta->state_numbers());
    return {.bytes = state * sizeof(float), .multiply_adds = 3 * state * rows};
  }
  double seen = 0;  // by all rows
  double kept = position + rows;
  if (spec_.slides(layer)) {
    kept = std::min(kept, static_cast<double>(spec_.window) + rows - 1);
    for (int i = 1; i <= rows; ++i) seen += std::min(position + i, spec_.window);
  } else {
    seen = rows * (position + (rows + 1) / 2.0);
  }
  return {.bytes = kept * cached_token_bytes_, .multiply_adds = seen * token_multiply_adds_};
}

Work WorkCount::layer(int layer, int sequences, int position, int rows) const {
  const double all_rows = static_cast<double>(sequences) * rows;
  const Work& always = always_[at(layer)];
  Work work{.bytes = always.bytes, .multiply_adds = all_rows * always.multiply_adds};
  if (spec_.moe) {
    const Work& experts = experts_[at(layer)];
    const double used = static_cast<double>(spec_.moe->used) / spec_.moe->experts;
    work += {.bytes = experts.bytes * (1 - std::pow(1 - used, all_rows)),
             .multiply_adds = experts.multiply_adds * used * all_rows};
  }
  const Work one = attention(layer, position, rows);
  work += {.bytes = sequences * one.bytes, .multiply_adds = sequences * one.multiply_adds};
  return work;
}

Work WorkCount::head(int sequences) const {
  return {.bytes = head_.bytes, .multiply_adds = sequences * head_.multiply_adds};
}

Work WorkCount::pass(int sequences, int position, int rows, bool logits) const {
  Work work;
  for (int i = 0; i < spec_.layers; ++i) work += layer(i, sequences, position, rows);
  if (logits) work += head(sequences);
  return work;
}

}  // namespace hearth::engine
