// Phi-3 (https://arxiv.org/abs/2404.14219) and later Phi models of its kind: Llama with Q, K and V
// in one tensor and gate and up in another, stretched to long contexts by LongRoPE
// (https://arxiv.org/abs/2402.13753).
#include <array>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"phi3"};
constexpr std::array<std::string_view, 1> kGgufNames = {"phi3"};
constexpr std::array kTensorNames = {TensorName{"ffn_up", "mlp.gate_up_proj"}};

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  return read_sliding_layers(
      config, [](const JsonObject&, int) { return true; }, spec);
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  return read_gguf_sliding_layers(
      gguf, 0, 1, [](int, int) { return true; }, spec);
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  const std::string prefix = layer_prefix(layer);
  const int64_t query = int64_t{spec.heads} * spec.head_dim;
  const int64_t key = int64_t{spec.kv_heads} * spec.head_dim;
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  const Slice& slice = loader.slice();
  const auto projection = [&](int64_t first, Range heads, PackedMatrix* out) {
    return loader.part(prefix + "self_attn.qkv_proj.weight", query + 2 * key, spec.hidden,
                       rows_of(heads, spec.head_dim, first), out);
  };
  HEARTH_RETURN_IF_ERROR(projection(0, slice.heads, &w.q));
  HEARTH_RETURN_IF_ERROR(projection(query, slice.kv_heads, &w.k));
  HEARTH_RETURN_IF_ERROR(projection(query + key, slice.kv_heads, &w.v));
  HEARTH_RETURN_IF_ERROR(
      load_attention_output(loader, prefix + "self_attn.o_proj.weight", spec, w));
  const auto half = [&](int64_t first, PackedMatrix* out) {
    return loader.part(prefix + "mlp.gate_up_proj.weight", int64_t{2} * spec.ffn, spec.hidden,
                       rows_of(slice.ffn, 1, first), out);
  };
  HEARTH_RETURN_IF_ERROR(half(0, &w.ffn.gate));
  HEARTH_RETURN_IF_ERROR(half(spec.ffn, &w.ffn.up));
  return loader.joint(Joint::kFeedForward, prefix + "mlp.down_proj.weight", spec.hidden, spec.ffn,
                      {.count = spec.hidden}, slice.ffn, &w.ffn.down);
}

}  // namespace

const ArchitectureCode kPhi3 = {.architecture = Architecture::kPhi3,
                                .model_types = kModelTypes,
                                .gguf_names = kGgufNames,
                                .tensor_names = kTensorNames,
                                .read_config = read_config,
                                .read_gguf = read_gguf,
                                .load_layer = load_layer,
                                .attention = grouped_query_attention,
                                .feed_forward = feed_forward};

}  // namespace hearth::engine
