// Llama (Touvron et al., https://arxiv.org/abs/2302.13971; Llama 3,
// https://arxiv.org/abs/2407.21783) and Mistral 7B (https://arxiv.org/abs/2310.06825), which has
// the same layers, in its first version with a sliding window.
#include <array>

#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 2> kModelTypes = {"llama", "mistral"};
constexpr std::array<std::string_view, 1> kGgufNames = {"llama"};

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  if (spec.architecture_name != "mistral") return {};
  return read_sliding_layers(
      config, [](const JsonObject&, int) { return true; }, spec);
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  HEARTH_TRY(const int64_t experts, gguf.integer_or("llama.expert_count", 0, 0, INT32_MAX));
  if (experts > 0) {
    return Error(Code::kUnsupported, gguf.file() + ": llama.expert_count (Mixtral)");
  }
  spec.rope.interleaved = true;
  return {};
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  return load_feed_forward(loader, layer_prefix(layer) + "mlp.", spec, w.ffn);
}

}  // namespace

const ArchitectureCode kLlama = {.architecture = Architecture::kLlama,
                                 .model_types = kModelTypes,
                                 .gguf_names = kGgufNames,
                                 .read_config = read_config,
                                 .read_gguf = read_gguf,
                                 .load_layer = load_layer,
                                 .attention = grouped_query_attention,
                                 .feed_forward = feed_forward};

}  // namespace hearth::engine
