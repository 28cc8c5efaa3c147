#include "engine/models/architecture.h"

#include <string>

namespace hearth::engine {

const ArchitectureCode& code_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::kLlama:
      return kLlama;
    case Architecture::kQwen2:
      return kQwen2;
    case Architecture::kQwen3:
      return kQwen3;
  }
  return kLlama;
}

std::string layer_prefix(int layer) { return "model.layers." + std::to_string(layer) + "."; }

Result<void> load_decoder_layer(WeightLoader& loader, const ModelSpec& spec, int layer,
                                LayerWeights& w) {
  const std::string prefix = layer_prefix(layer);
  const int64_t hidden = spec.hidden;
  const int64_t query = int64_t{spec.heads} * spec.head_dim;
  const int64_t key = int64_t{spec.kv_heads} * spec.head_dim;
  const auto matrix = [&](const char* name, int64_t rows, int64_t columns, PackedMatrix* out) {
    return loader.matrix(prefix + name + ".weight", rows, columns, out);
  };
  const auto norm = [&](const char* name, std::vector<float>* out) {
    return loader.vector(prefix + name + ".weight", hidden, out);
  };
  HEARTH_RETURN_IF_ERROR(norm("input_layernorm", &w.attention_norm));
  HEARTH_RETURN_IF_ERROR(matrix("self_attn.q_proj", query, hidden, &w.q));
  HEARTH_RETURN_IF_ERROR(matrix("self_attn.k_proj", key, hidden, &w.k));
  HEARTH_RETURN_IF_ERROR(matrix("self_attn.v_proj", key, hidden, &w.v));
  HEARTH_RETURN_IF_ERROR(matrix("self_attn.o_proj", hidden, query, &w.o));
  HEARTH_RETURN_IF_ERROR(norm("post_attention_layernorm", &w.ffn_norm));
  HEARTH_RETURN_IF_ERROR(matrix("mlp.gate_proj", spec.ffn, hidden, &w.gate));
  HEARTH_RETURN_IF_ERROR(matrix("mlp.up_proj", spec.ffn, hidden, &w.up));
  return matrix("mlp.down_proj", hidden, spec.ffn, &w.down);
}

}  // namespace hearth::engine
