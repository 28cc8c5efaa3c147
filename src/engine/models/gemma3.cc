// Gemma 3 (https://arxiv.org/abs/2503.19786), the language model: norms before and after both
// halves of a layer, head norms, GELU, and most layers over a sliding window with a rope of their
// own.
#include <array>
#include <cmath>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"gemma3_text"};
constexpr std::array<std::string_view, 1> kGgufNames = {"gemma3"};
constexpr std::array kTensorNames = {
    TensorName{"post_attention_norm", "post_attention_layernorm"},
    TensorName{"ffn_norm", "pre_feedforward_layernorm"},
    TensorName{"post_ffw_norm", "post_feedforward_layernorm"},
};
constexpr int kPattern = 6;  // every sixth layer attends to all
constexpr double kLocalTheta = 10000.0;

// https://huggingface.co/docs/transformers/model_doc/gemma3, Gemma3TextConfig: published configs
// leave out what they do not change.
void set_defaults(ModelSpec& spec) {
  spec.heads = 8;
  spec.kv_heads = 4;
  spec.head_dim = 256;
  spec.vocab = 262208;
  spec.context = 131072;
  spec.window = 4096;
  spec.rope.theta = 1e6;
  spec.tied_embedding = true;
  spec.activation = Activation::kGeluTanh;
}

void complete(ModelSpec& spec, double local_theta) {
  spec.activation = Activation::kGeluTanh;
  spec.qk_norm = true;
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.hidden));
  if (!spec.local_rope) {
    spec.local_rope = RopeSpec{.theta = local_theta, .dimensions = spec.rope.dimensions};
  }
}

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  spec.norm_plus_one = true;
  HEARTH_TRY(const double scalar, config.number_or("query_pre_attn_scalar", 256));
  if (!(scalar > 0)) return config.wrong("query_pre_attn_scalar", "a positive number");
  spec.attention_scale = static_cast<float>(1 / std::sqrt(scalar));
  HEARTH_TRY(const double local_theta, config.number_or("rope_local_base_freq", kLocalTheta));
  complete(spec, local_theta);
  return read_sliding_layers(
      config,
      [](const JsonObject& object, int layer) {
        for (const std::string_view key : {"sliding_window_pattern", "_sliding_window_pattern"}) {
          const auto pattern = object.integer_or(key, kPattern, 1, INT32_MAX);
          if (object.has(key) && pattern.ok()) return (layer + 1) % *pattern != 0;
        }
        return (layer + 1) % kPattern != 0;
      },
      spec);
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  HEARTH_TRY(const double theta, gguf.number_or("gemma3.rope.freq_base_swa", kLocalTheta));
  complete(spec, theta);
  // The format has no key for it; of the published sizes only the largest, of 62 layers, scales by
  // another number than its heads' dimension.
  constexpr int kLargestLayers = 62;
  if (spec.layers == kLargestLayers) {
    spec.attention_scale = 1 / std::sqrt(static_cast<float>(spec.hidden / spec.heads));
  }
  return read_gguf_sliding_layers(
      gguf, 0, kPattern, [](int layer, int pattern) { return (layer + 1) % pattern != 0; }, spec);
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  const std::string prefix = layer_prefix(layer);
  const auto norm = [&](const char* name, std::vector<float>* out) {
    return loader.norm(prefix + name + ".weight", spec.hidden, out);
  };
  HEARTH_RETURN_IF_ERROR(norm("input_layernorm", &w.attention_norm));
  HEARTH_RETURN_IF_ERROR(norm("post_attention_layernorm", &w.attention_out_norm));
  HEARTH_RETURN_IF_ERROR(norm("pre_feedforward_layernorm", &w.ffn_norm));
  HEARTH_RETURN_IF_ERROR(norm("post_feedforward_layernorm", &w.ffn_out_norm));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  return load_feed_forward(loader, prefix + "mlp.", spec, w.ffn);
}

}  // namespace

const ArchitectureCode kGemma3 = {.architecture = Architecture::kGemma3,
                                  .model_types = kModelTypes,
                                  .gguf_names = kGgufNames,
                                  .tensor_names = kTensorNames,
                                  .set_defaults = set_defaults,
                                  .read_config = read_config,
                                  .read_gguf = read_gguf,
                                  .load_layer = load_layer,
                                  .attention = grouped_query_attention,
                                  .feed_forward = feed_forward};

}  // namespace hearth::engine
