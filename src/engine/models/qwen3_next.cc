// Qwen3-Next (https://huggingface.co/Qwen/Qwen3-Next-80B-A3B-Instruct) and Qwen 3.5, dense and with
// experts, which stores the same projections otherwise: three layers in four are gated delta nets
// (https://arxiv.org/abs/2412.06464), the fourth is grouped-query attention with gates.
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"
#include "engine/models/qwen_experts.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kNextModelTypes = {"qwen3_next"};
constexpr std::array<std::string_view, 2> kDenseModelTypes = {"qwen3_5_text", "qwen3_5"};
constexpr std::array<std::string_view, 2> kMoeModelTypes = {"qwen3_5_moe_text", "qwen3_5_moe"};
constexpr std::array<std::string_view, 1> kNextGgufNames = {"qwen3next"};
constexpr std::array<std::string_view, 1> kDenseGgufNames = {"qwen35"};
constexpr std::array<std::string_view, 1> kMoeGgufNames = {"qwen35moe"};
constexpr std::array kTensorNames = {
    TensorName{"post_attention_norm", "post_attention_layernorm"},
    TensorName{"attn_qkv", "linear_attn.in_proj_qkv"},
    TensorName{"attn_gate", "linear_attn.in_proj_z"},
    TensorName{"ssm_in", "linear_attn.in_proj_qkvz"},
    TensorName{"ssm_ba", "linear_attn.in_proj_ba"},
    TensorName{"ssm_alpha", "linear_attn.in_proj_a"},
    TensorName{"ssm_beta", "linear_attn.in_proj_b"},
    TensorName{"ssm_conv1d", "linear_attn.conv1d"},
    TensorName{"ssm_dt.bias", "linear_attn.dt_bias"},
    TensorName{"ssm_a", "linear_attn.A"},  // -exp(A_log)
    TensorName{"ssm_norm", "linear_attn.norm"},
    TensorName{"ssm_out", "linear_attn.out_proj"},
    TensorName{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    TensorName{"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    TensorName{"ffn_down_shexp", "mlp.shared_expert.down_proj"},
    TensorName{"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    TensorName{"ffn_gate_up_exps", "mlp.experts.gate_up_proj"},
};
constexpr int kInterval = 4;       // every fourth layer attends
constexpr double kRotated = 0.25;  // of each head

void set_defaults(ModelSpec& spec) { spec.head_dim = 256; }

Result<std::vector<bool>> read_linear_layers(const JsonObject& config, const ModelSpec& spec) {
  std::vector<bool> linear(spec.layers);
  if (!config.has("layer_types")) {
    HEARTH_TRY(const int64_t interval,
               config.integer_or("full_attention_interval", kInterval, 1, INT32_MAX));
    for (int layer = 0; layer < spec.layers; ++layer) linear[layer] = (layer + 1) % interval != 0;
    return linear;
  }
  HEARTH_TRY(const nlohmann::json* types, config.array("layer_types"));
  if (types->size() != linear.size()) return config.wrong("layer_types", "one for each layer");
  for (int layer = 0; layer < spec.layers; ++layer) {
    const nlohmann::json& type = (*types)[layer];
    if (type != "full_attention" && type != "linear_attention") {
      return Error(Code::kUnsupported, config.where() + ": layer type " + type.dump() +
                                           " (known: full_attention, linear_attention)");
    }
    linear[layer] = type == "linear_attention";
  }
  return linear;
}

Result<bool> says_what_rotates(const JsonObject& config) {
  if (config.has("partial_rotary_factor")) return true;
  if (!config.has("rope_parameters")) return false;
  HEARTH_TRY(const JsonObject rope, config.object("rope_parameters"));
  return rope.has("partial_rotary_factor");
}

void complete(ModelSpec& spec, DeltaNetSpec delta) {
  spec.qk_norm = true;
  spec.attention_gate = true;
  spec.delta = std::move(delta);
}

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  DeltaNetSpec delta;
  HEARTH_RETURN_IF_ERROR(read_size(config, "linear_num_key_heads", delta.key_heads));
  HEARTH_RETURN_IF_ERROR(read_size(config, "linear_num_value_heads", delta.value_heads));
  HEARTH_RETURN_IF_ERROR(read_size(config, "linear_key_head_dim", delta.key_dim));
  HEARTH_RETURN_IF_ERROR(read_size(config, "linear_value_head_dim", delta.value_dim));
  HEARTH_RETURN_IF_ERROR(read_size(config, "linear_conv_kernel_dim", delta.kernel));
  HEARTH_TRY(delta.linear, read_linear_layers(config, spec));
  HEARTH_TRY(const bool rotary_known, says_what_rotates(config));
  if (!rotary_known) spec.rope.dimensions = static_cast<int>(spec.head_dim * kRotated);
  spec.norm_plus_one = true;
  complete(spec, std::move(delta));
  return {};
}

Result<void> read_moe_config(const JsonObject& config, ModelSpec& spec) {
  HEARTH_RETURN_IF_ERROR(read_config(config, spec));
  HEARTH_RETURN_IF_ERROR(read_qwen_experts(config, spec));
  HEARTH_TRY(spec.moe->normalise, config.boolean_or("norm_topk_prob", true));
  return read_size(config, "shared_expert_intermediate_size", spec.moe->shared_ffn);
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  const auto read = [&](std::string_view key, int64_t fallback, int& out) {
    return read_gguf_size(gguf, spec, key, fallback, out);
  };
  DeltaNetSpec delta;
  int inner = 0;  // of all value heads
  int interval = 0;
  HEARTH_RETURN_IF_ERROR(read("ssm.group_count", 0, delta.key_heads));
  HEARTH_RETURN_IF_ERROR(read("ssm.time_step_rank", 0, delta.value_heads));
  HEARTH_RETURN_IF_ERROR(read("ssm.state_size", 0, delta.key_dim));
  HEARTH_RETURN_IF_ERROR(read("ssm.inner_size", 0, inner));
  HEARTH_RETURN_IF_ERROR(read("ssm.conv_kernel", 0, delta.kernel));
  HEARTH_RETURN_IF_ERROR(read("full_attention_interval", kInterval, interval));
  delta.value_dim = inner / delta.value_heads;
  // Files of Qwen 3.5 hold the value heads in another order than Hugging Face's.
  delta.tiled = spec.architecture != Architecture::kQwen3Next;
  for (int layer = 0; layer < spec.layers; ++layer) {
    delta.linear.push_back((layer + 1) % interval != 0);
  }
  complete(spec, std::move(delta));
  return {};
}

Result<void> read_moe_gguf(const GgufFile& gguf, ModelSpec& spec) {
  HEARTH_RETURN_IF_ERROR(read_gguf(gguf, spec));
  HEARTH_RETURN_IF_ERROR(read_gguf_experts(gguf, ExpertScoring::kSoftmax, spec));
  if (!spec.moe) return gguf.wrong(spec.architecture_name + ".expert_count", "a positive number");
  spec.moe->normalise = true;  // the format has it implied
  return read_gguf_size(gguf, spec, "expert_shared_feed_forward_length", spec.moe->ffn,
                        spec.moe->shared_ffn);
}

// MLX's converter adds the 1 to the norms' weights, and turns the convolution's around:
// [channels, kernel, 1], not [channels, 1, kernel].
void read_tensors(const TensorTable& tensors, ModelSpec& spec) {
  for (const auto& [name, view] : tensors) {
    if (!name.ends_with(".linear_attn.conv1d.weight")) continue;
    if (view.columns == 1 && spec.delta->kernel > 1) spec.norm_plus_one = false;
    return;
  }
}

// The slice's rows of a tensor that holds its parts key head by key head: `width` rows of each,
// from `first` on, of `stride`. Such tensors are not tiled: a key head and its value heads are on
// one rank.
Choice rows_of_each(const Slice& slice, int64_t first, int64_t width, int64_t stride) {
  return {.first = first + slice.key_heads.begin * stride,
          .count = slice.key_heads.size() * width,
          .step = stride,
          .run = width};
}

Result<void> load_projections(WeightLoader& loader, const std::string& prefix,
                              const ModelSpec& spec, DeltaNetWeights& w) {
  const Slice& slice = loader.slice();
  const DeltaNetSpec& delta = *spec.delta;
  const int64_t keys = delta.keys();
  const int64_t values = delta.values();
  const std::string all = prefix + "in_proj_qkvz.weight";
  if (loader.has(all)) {
    const int64_t key = delta.key_dim;
    const int64_t value = values / delta.key_heads;
    const int64_t stride = 2 * key + 2 * value;
    const auto part = [&](int64_t first, int64_t width, PackedMatrix* out) {
      return loader.part(all, 2 * keys + 2 * values, spec.hidden,
                         rows_of_each(slice, first, width, stride), out);
    };
    HEARTH_RETURN_IF_ERROR(part(0, key, &w.q));
    HEARTH_RETURN_IF_ERROR(part(key, key, &w.k));
    HEARTH_RETURN_IF_ERROR(part(2 * key, value, &w.v));
    return part(2 * key + value, value, &w.z);
  }
  const Choice own_values = rows_of(slice.value_heads, delta.value_dim);
  const auto part = [&](Choice rows, PackedMatrix* out) {
    return loader.part(prefix + "in_proj_qkv.weight", delta.channels(), spec.hidden, rows, out);
  };
  HEARTH_RETURN_IF_ERROR(part(rows_of(slice.key_heads, delta.key_dim), &w.q));
  HEARTH_RETURN_IF_ERROR(part(rows_of(slice.key_heads, delta.key_dim, keys), &w.k));
  HEARTH_RETURN_IF_ERROR(part(rows_of(slice.value_heads, delta.value_dim, 2 * keys), &w.v));
  return loader.part(prefix + "in_proj_z.weight", values, spec.hidden, own_values, &w.z);
}

Result<void> load_gates(WeightLoader& loader, const std::string& prefix, const ModelSpec& spec,
                        DeltaNetWeights& w) {
  const DeltaNetSpec& delta = *spec.delta;
  const int64_t heads = delta.value_heads;
  const std::string both = prefix + "in_proj_ba.weight";
  const Slice& slice = loader.slice();
  if (!loader.has(both)) {
    const Choice own = rows_of(slice.value_heads, 1);
    HEARTH_RETURN_IF_ERROR(loader.part(prefix + "in_proj_b.weight", heads, spec.hidden, own, &w.b));
    return loader.part(prefix + "in_proj_a.weight", heads, spec.hidden, own, &w.a);
  }
  const int64_t group = heads / delta.key_heads;
  HEARTH_RETURN_IF_ERROR(
      loader.part(both, 2 * heads, spec.hidden, rows_of_each(slice, 0, group, 2 * group), &w.b));
  return loader.part(both, 2 * heads, spec.hidden, rows_of_each(slice, group, group, 2 * group),
                     &w.a);
}

// The convolution's taps [kernel, slice's channels] from the file's [channels, kernel].
std::vector<float> own_taps(const std::vector<float>& taps, const DeltaNetSpec& delta,
                            const Slice& slice) {
  const std::array<Choice, 3> parts = {
      rows_of(slice.key_heads, delta.key_dim),
      rows_of(slice.key_heads, delta.key_dim, delta.keys()),
      rows_of(slice.value_heads, delta.value_dim, 2 * delta.keys())};
  std::vector<float> own;
  for (int k = 0; k < delta.kernel; ++k) {
    for (const Choice& part : parts) {
      for (int64_t c = part.first; c < part.first + part.count; ++c) {
        own.push_back(taps[c * delta.kernel + k]);
      }
    }
  }
  return own;
}

Result<void> load_delta_net(WeightLoader& loader, const ModelSpec& spec, int layer,
                            LayerWeights& layer_weights) {
  const std::string prefix = layer_prefix(layer) + "linear_attn.";
  const DeltaNetSpec& delta = *spec.delta;
  DeltaNetWeights& w = layer_weights.delta;
  HEARTH_RETURN_IF_ERROR(load_projections(loader, prefix, spec, w));
  HEARTH_RETURN_IF_ERROR(load_gates(loader, prefix, spec, w));
  std::vector<float> taps;  // [channels, kernel]
  HEARTH_RETURN_IF_ERROR(
      loader.numbers(prefix + "conv1d.weight", delta.channels() * delta.kernel, &taps));
  w.convolution = own_taps(taps, delta, loader.slice());
  const Range heads = loader.slice().value_heads;
  const bool negated = loader.has(prefix + "A");
  HEARTH_RETURN_IF_ERROR(loader.vector_part(prefix + (negated ? "A" : "A_log"), delta.value_heads,
                                            heads, &w.decay_rate));
  for (float& rate : w.decay_rate) rate = negated ? -rate : std::exp(rate);
  HEARTH_RETURN_IF_ERROR(
      loader.vector_part(prefix + "dt_bias", delta.value_heads, heads, &w.decay_offset));
  HEARTH_RETURN_IF_ERROR(loader.vector(prefix + "norm.weight", delta.value_dim, &w.norm));
  return loader.joint(Joint::kDeltaNet, prefix + "out_proj.weight", spec.hidden, delta.values(),
                      {.count = spec.hidden},
                      {heads.begin * delta.value_dim, heads.end * delta.value_dim}, &w.out);
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(spec.linear(layer) ? load_delta_net(loader, spec, layer, w)
                                            : load_attention(loader, spec, layer, w));
  if (spec.sparse(layer)) return load_qwen_experts(loader, spec, layer, w.mixture);
  return load_feed_forward(loader, layer_prefix(layer) + "mlp.", spec, w.ffn);
}

void attention(Pass& pass, const LayerWeights& w, int layer) {
  if (w.delta.out.rows > 0) {
    gated_delta_net(pass, w, layer);
  } else {
    grouped_query_attention(pass, w, layer);
  }
}

}  // namespace

const ArchitectureCode kQwen3Next = {.architecture = Architecture::kQwen3Next,
                                     .model_types = kNextModelTypes,
                                     .gguf_names = kNextGgufNames,
                                     .tensor_names = kTensorNames,
                                     .set_defaults = set_defaults,
                                     .read_config = read_moe_config,
                                     .read_gguf = read_moe_gguf,
                                     .read_tensors = read_tensors,
                                     .load_layer = load_layer,
                                     .attention = attention,
                                     .feed_forward = feed_forward_or_mixture};

const ArchitectureCode kQwen35 = {.architecture = Architecture::kQwen35,
                                  .model_types = kDenseModelTypes,
                                  .gguf_names = kDenseGgufNames,
                                  .tensor_names = kTensorNames,
                                  .set_defaults = set_defaults,
                                  .read_config = read_config,
                                  .read_gguf = read_gguf,
                                  .read_tensors = read_tensors,
                                  .load_layer = load_layer,
                                  .attention = attention,
                                  .feed_forward = feed_forward_or_mixture};

const ArchitectureCode kQwen35Moe = {.architecture = Architecture::kQwen35Moe,
                                     .model_types = kMoeModelTypes,
                                     .gguf_names = kMoeGgufNames,
                                     .tensor_names = kTensorNames,
                                     .set_defaults = set_defaults,
                                     .read_config = read_moe_config,
                                     .read_gguf = read_moe_gguf,
                                     .read_tensors = read_tensors,
                                     .load_layer = load_layer,
                                     .attention = attention,
                                     .feed_forward = feed_forward_or_mixture};

}  // namespace hearth::engine
