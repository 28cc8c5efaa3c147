#include "engine/formats/gguf_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace hearth::engine {
namespace {

constexpr std::array kModelNames = {
    TensorName{"token_embd", "model.embed_tokens"},
    TensorName{"output_norm", "model.norm"},
    TensorName{"output", "lm_head"},
};
constexpr std::array kLayerNames = {
    TensorName{"attn_norm", "input_layernorm"},
    TensorName{"attn_q", "self_attn.q_proj"},
    TensorName{"attn_k", "self_attn.k_proj"},
    TensorName{"attn_v", "self_attn.v_proj"},
    TensorName{"attn_qkv", "self_attn.qkv_proj"},
    TensorName{"attn_q_norm", "self_attn.q_norm"},
    TensorName{"attn_k_norm", "self_attn.k_norm"},
    TensorName{"attn_output", "self_attn.o_proj"},
    TensorName{"ffn_norm", "post_attention_layernorm"},
    TensorName{"ffn_gate", "mlp.gate_proj"},
    TensorName{"ffn_up", "mlp.up_proj"},
    TensorName{"ffn_down", "mlp.down_proj"},
    TensorName{"ffn_gate_inp", "mlp.gate"},
    TensorName{"ffn_gate_exps", "mlp.experts.gate_proj"},
    TensorName{"ffn_up_exps", "mlp.experts.up_proj"},
    TensorName{"ffn_down_exps", "mlp.experts.down_proj"},
    TensorName{"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    TensorName{"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    TensorName{"ffn_down_shexp", "mlp.shared_experts.down_proj"},
};

std::string_view translate(std::span<const TensorName> names, std::string_view gguf) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const TensorName& name) { return name.gguf == gguf; });
  return found == names.end() ? std::string_view() : found->hugging_face;
}

}  // namespace

std::string hugging_face_name(std::string_view name, const ArchitectureCode& architecture) {
  std::string_view layer;
  if (name.starts_with("blk.")) {
    name.remove_prefix(4);
    const size_t end = name.find('.');
    if (end == std::string_view::npos || end == 0) return {};
    layer = name.substr(0, end);
    name.remove_prefix(end + 1);
    // An architecture's own names may go without a kind, and then are whole.
    const std::string_view whole = translate(architecture.tensor_names, name);
    if (!whole.empty()) return fmt::format("model.layers.{}.{}", layer, whole);
  }
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view kind = name.substr(dot);  // ".weight"
  const std::string_view part = name.substr(0, dot);
  if (kind != ".weight" && kind != ".bias") return {};
  if (layer.empty()) {
    const std::string_view translated = translate(kModelNames, part);
    return translated.empty() ? std::string() : fmt::format("{}{}", translated, kind);
  }
  std::string_view translated = translate(architecture.tensor_names, part);
  if (translated.empty()) translated = translate(kLayerNames, part);
  if (translated.empty()) return {};
  return fmt::format("model.layers.{}.{}{}", layer, translated, kind);
}

}  // namespace hearth::engine
