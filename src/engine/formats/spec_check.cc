#include "engine/formats/spec_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <span>

#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

constexpr std::string_view kLayers = "model.layers.";

struct Bound {
  std::string_view name;
  int value;
  int max;
};

Error wrong(const std::string& file, std::string_view what, int64_t value,
            std::string_view expected) {
  return Error(Code::kCorrupt, file + ": " + std::string(what) + " is " + std::to_string(value) +
                                   ", expected " + std::string(expected));
}

bool positive(double value) { return std::isfinite(value) && value > 0; }

Result<void> check_factors(const std::vector<float>& factors, const RopeSpec& rope, bool wanted,
                           const std::string& file) {
  const auto count = static_cast<int64_t>(factors.size());
  if (count != rope.dimensions / 2 && (wanted || count != 0)) {
    return wrong(file, "number of rope frequency divisors", count,
                 std::to_string(rope.dimensions / 2));
  }
  if (std::all_of(factors.begin(), factors.end(), positive)) return {};
  return Error(Code::kCorrupt, file + ": rope frequency divisors must be positive numbers");
}

Result<void> check_rope(const RopeSpec& rope, int head_dim, const std::string& file) {
  for (const double value : {rope.theta, rope.factor, rope.low_freq_factor, rope.high_freq_factor,
                             rope.beta_fast, rope.beta_slow, rope.attention_factor}) {
    if (!positive(value)) {
      return Error(Code::kCorrupt, file + ": rope parameters must be positive numbers");
    }
  }
  if (rope.original_context < 1) {
    return wrong(file, "original context of rope", rope.original_context, "at least 1");
  }
  if (rope.dimensions < 2 || rope.dimensions > head_dim || rope.dimensions % 2 != 0) {
    return wrong(file, "number of rotated dimensions", rope.dimensions,
                 "an even number from 2 to " + std::to_string(head_dim));
  }
  if (rope.scaling == RopeScaling::kYarn && rope.theta <= 1) {
    return Error(Code::kCorrupt, file + ": rope theta must exceed 1");
  }
  if (rope.scaling == RopeScaling::kLlama3 && rope.high_freq_factor <= rope.low_freq_factor) {
    return Error(Code::kCorrupt, file + ": rope high_freq_factor must exceed low_freq_factor");
  }
  const bool long_rope = rope.scaling == RopeScaling::kLongRope;
  HEARTH_RETURN_IF_ERROR(check_factors(rope.frequency_divisors, rope, false, file));
  HEARTH_RETURN_IF_ERROR(check_factors(rope.short_factors, rope, long_rope, file));
  return check_factors(rope.long_factors, rope, long_rope, file);
}

Result<void> check_bounds(std::span<const Bound> bounds, const std::string& file) {
  for (const Bound& bound : bounds) {
    if (bound.value < 1 || bound.value > bound.max) {
      return wrong(file, bound.name, bound.value, "1 to " + std::to_string(bound.max));
    }
  }
  return {};
}

Result<void> check_moe(const ModelSpec& spec, const std::string& file) {
  const MoeSpec& moe = *spec.moe;
  const std::array bounds = {
      Bound{"number of experts", moe.experts, 4096},
      Bound{"number of experts used", moe.used, std::min(moe.experts, 64)},
      Bound{"width of an expert", moe.ffn, 1 << 20},
      Bound{"number of groups of experts", moe.groups, moe.experts},
      Bound{"number of groups used", moe.groups_used, moe.groups},
  };
  HEARTH_RETURN_IF_ERROR(check_bounds(bounds, file));
  if (moe.shared_ffn < 0 || moe.shared_ffn > 1 << 20) {
    return wrong(file, "width of the shared experts", moe.shared_ffn, "0 to 1048576");
  }
  if (moe.experts % moe.groups != 0) {
    return wrong(file, "number of experts", moe.experts,
                 "a multiple of the " + std::to_string(moe.groups) + " groups");
  }
  if (moe.experts / moe.groups * moe.groups_used < moe.used) {
    return wrong(file, "number of experts used", moe.used, "at most those of the groups used");
  }
  if (!positive(moe.weight_scale)) {
    return Error(Code::kCorrupt, file + ": the scale of experts' weights must be positive");
  }
  if (static_cast<int>(moe.sparse.size()) != spec.layers) {
    return wrong(file, "number of layers said to be sparse or not",
                 static_cast<int64_t>(moe.sparse.size()), std::to_string(spec.layers));
  }
  return {};
}

Result<void> check_latent(const LatentAttentionSpec& latent, const std::string& file) {
  const std::array bounds = {
      Bound{"rank of latent attention", latent.latent_dim, 1 << 14},
      Bound{"head dimension without position", latent.nope_dim, 1024},
      Bound{"head dimension with position", latent.rotary_dim, 1024},
      Bound{"dimension of values", latent.value_dim, 1024},
  };
  HEARTH_RETURN_IF_ERROR(check_bounds(bounds, file));
  if (latent.query_rank < 0 || latent.query_rank > 1 << 17) {
    return wrong(file, "rank of latent queries", latent.query_rank, "0 to 131072");
  }
  if (latent.latent_dim % 2 != 0) {
    return wrong(file, "rank of latent attention", latent.latent_dim, "an even number");
  }
  return {};
}

Result<void> check_delta(const ModelSpec& spec, const std::string& file) {
  const DeltaNetSpec& delta = *spec.delta;
  const std::array bounds = {
      Bound{"number of linear key heads", delta.key_heads, 1024},
      Bound{"number of linear value heads", delta.value_heads, 1024},
      Bound{"dimension of linear keys", delta.key_dim, 1024},
      Bound{"dimension of linear values", delta.value_dim, 1024},
      Bound{"width of the convolution", delta.kernel, 64},
  };
  HEARTH_RETURN_IF_ERROR(check_bounds(bounds, file));
  if (delta.value_heads % delta.key_heads != 0) {
    return wrong(file, "number of linear value heads", delta.value_heads,
                 "a multiple of the " + std::to_string(delta.key_heads) + " key heads");
  }
  return {};
}

Result<void> check_ids(const ModelSpec& spec, const std::string& file) {
  for (const int32_t id : spec.eos_ids) {
    if (id < 0 || id >= spec.vocab) {
      return wrong(file, "end-of-sequence id", id, "less than the vocabulary size");
    }
  }
  if (spec.bos_id < -1 || spec.bos_id >= spec.vocab) {
    return wrong(file, "beginning-of-sequence id", spec.bos_id, "less than the vocabulary size");
  }
  return {};
}

}  // namespace

Result<void> check_sizes(const ModelSpec& spec, const std::string& file) {
  const std::array bounds = {
      Bound{"number of layers", spec.layers, 1024},
      Bound{"hidden size", spec.hidden, 1 << 17},
      Bound{"feed-forward size", spec.ffn, 1 << 20},
      Bound{"number of heads", spec.heads, 1024},
      Bound{"number of key-value heads", spec.kv_heads, 1024},
      Bound{"head dimension", spec.head_dim, 1024},
      Bound{"dimension of values", spec.value_dim, 1024},
      Bound{"context length", spec.context, 1 << 28},
  };
  return check_bounds(bounds, file);
}

Result<void> check_spec(const ModelSpec& spec, const std::string& file) {
  HEARTH_RETURN_IF_ERROR(check_sizes(spec, file));
  const std::array bounds = {Bound{"vocabulary size", spec.vocab, 1 << 22}};
  HEARTH_RETURN_IF_ERROR(check_bounds(bounds, file));
  if (spec.heads % spec.kv_heads != 0) {
    return wrong(file, "number of heads", spec.heads,
                 "a multiple of the " + std::to_string(spec.kv_heads) + " key-value heads");
  }
  if (spec.head_dim % 2 != 0) return wrong(file, "head dimension", spec.head_dim, "an even number");
  if (!(spec.norm_epsilon > 0) || !(spec.norm_epsilon < 1)) {
    return Error(Code::kCorrupt, file + ": norm epsilon must lie between 0 and 1");
  }
  if (!positive(spec.attention_scale)) {
    return Error(Code::kCorrupt, file + ": the scale of attention scores must be positive");
  }
  if (spec.window < 0) return wrong(file, "sliding window", spec.window, "at least 0");
  HEARTH_RETURN_IF_ERROR(check_ids(spec, file));
  if (spec.moe) HEARTH_RETURN_IF_ERROR(check_moe(spec, file));
  if (spec.latent) HEARTH_RETURN_IF_ERROR(check_latent(*spec.latent, file));
  if (spec.delta) HEARTH_RETURN_IF_ERROR(check_delta(spec, file));
  const int rotary = spec.latent ? spec.latent->rotary_dim : spec.head_dim;
  HEARTH_RETURN_IF_ERROR(check_rope(spec.rope, rotary, file));
  return spec.local_rope ? check_rope(*spec.local_rope, rotary, file) : Result<void>();
}

namespace {

// Old checkpoints store the inverse frequencies, which follow from the config.
bool is_derived(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

// Does the tensor belong to a layer of multi-token prediction, behind the others?
bool is_draft(std::string_view name, const ModelSpec& spec) {
  int layer = 0;
  name.remove_prefix(kLayers.size());
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), layer);
  return parsed.ec == std::errc() && layer >= spec.layers &&
         layer < spec.layers + spec.draft_layers;
}

}  // namespace

Result<Survey> survey_tensors(const ModelFiles& files, const TensorTable& table) {
  const ModelSpec& spec = files.spec();
  WeightLoader loader(files, Slice::whole(spec));
  Weights weights;
  const Shard all{.layer_begin = 0, .layer_end = spec.layers};
  HEARTH_RETURN_IF_ERROR(collect_weights(loader, spec, all, weights));
  std::set<std::string_view> names;
  for (const ModelTensor& tensor : loader.tensors()) names.insert(tensor.name);
  for (const auto& [name, view] : table) {
    if (!name.starts_with(kLayers) || names.contains(name)) continue;
    if (is_derived(name) || is_draft(name, spec)) continue;
    return Error(Code::kUnsupported, fmt::format("{}: tensor {}: not part of the {} model",
                                                 files.path(), name, spec.architecture_name));
  }
  return Survey{loader.tensors(), loader.column_units()};
}

}  // namespace hearth::engine
