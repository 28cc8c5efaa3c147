// gpt-oss (https://arxiv.org/abs/2508.10925; https://github.com/openai/gpt-oss): grouped-query
// attention with biases and sinks, every other layer over a sliding window, and a mixture of
// experts with biases and a clamped SwiGLU.
#include <array>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_config.h"
#include "engine/models/architecture.h"
#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

constexpr std::array<std::string_view, 1> kModelTypes = {"gpt_oss"};
constexpr std::array<std::string_view, 1> kGgufNames = {"gpt-oss"};
constexpr std::array kTensorNames = {
    TensorName{"post_attention_norm", "post_attention_layernorm"},
    TensorName{"attn_sinks.weight", "self_attn.sinks"},
    TensorName{"ffn_gate_inp", "mlp.router"},
};
constexpr int kWindow = 128;

void set_defaults(ModelSpec& spec) {
  spec.head_dim = 64;
  spec.window = kWindow;
  spec.attention_bias = true;
}

void complete(ModelSpec& spec) {
  spec.activation = Activation::kSwigluOss;
  spec.moe->scoring = ExpertScoring::kSoftmaxOfChosen;
  spec.moe->sparse.assign(spec.layers, true);
}

Result<void> read_config(const JsonObject& config, ModelSpec& spec) {
  HEARTH_TRY(const double limit, config.number_or("swiglu_limit", kernels::kSwigluLimit));
  if (limit != kernels::kSwigluLimit) return config.wrong("swiglu_limit", "7");
  MoeSpec moe;
  HEARTH_RETURN_IF_ERROR(read_size(config, "num_local_experts", moe.experts));
  const bool newer = config.has("num_experts_per_tok");
  HEARTH_RETURN_IF_ERROR(
      read_size(config, newer ? "num_experts_per_tok" : "experts_per_token", moe.used));
  moe.ffn = spec.ffn;
  spec.moe = std::move(moe);
  complete(spec);
  return read_sliding_layers(
      config, [](const JsonObject&, int layer) { return layer % 2 == 0; }, spec);
}

Result<void> read_gguf(const GgufFile& gguf, ModelSpec& spec) {
  HEARTH_RETURN_IF_ERROR(read_gguf_experts(gguf, ExpertScoring::kSoftmaxOfChosen, spec));
  if (!spec.moe) return gguf.wrong("gpt-oss.expert_count", "a positive number");
  spec.rope.truncate = false;
  complete(spec);
  return read_gguf_sliding_layers(
      gguf, kWindow, 2, [](int layer, int) { return layer % 2 == 0; }, spec);
}

// Every second number from `first` on.
std::vector<float> every_second(const std::vector<float>& numbers, size_t first) {
  std::vector<float> half;
  for (size_t i = first; i < numbers.size(); i += 2) half.push_back(numbers[i]);
  return half;
}

// Added by one rank for all.
Result<void> load_down_bias(WeightLoader& loader, const std::string& name, const ModelSpec& spec,
                            MixtureWeights& w) {
  if (!loader.slice().first()) return {};
  return loader.rows(name, spec.moe->experts, spec.hidden, &w.down_bias);
}

// The experts as Hugging Face's files hold them: gate and up in one tensor, row by row in turns.
// Unquantised files hold every matrix transposed.
Result<void> load_fused_experts(WeightLoader& loader, const std::string& prefix,
                                const ModelSpec& spec, MixtureWeights& w) {
  const MoeSpec& moe = *spec.moe;
  const int64_t hidden = spec.hidden;
  const int64_t ffn = moe.ffn;
  const std::string gate_up = prefix + "gate_up_proj";
  const std::string down = prefix + "down_proj";
  HEARTH_TRY(const bool quantised, loader.quantised(gate_up));
  for (int64_t e = 0; e < moe.experts; ++e) {
    FeedForwardWeights& expert = w.experts[e];
    const Range own = loader.slice().experts[e];
    const auto half = [&](int64_t first, PackedMatrix* out) {
      Choice columns{.first = first + 2 * own.begin, .count = own.size(), .step = 2};
      if (quantised) {
        columns.first += e * 2 * ffn;
        return loader.part(gate_up, moe.experts * 2 * ffn, hidden, columns, out);
      }
      return loader.transposed(gate_up, moe.experts * hidden, 2 * ffn,
                               {.first = e * hidden, .count = hidden}, columns, out);
    };
    HEARTH_RETURN_IF_ERROR(half(0, &expert.gate));
    HEARTH_RETURN_IF_ERROR(half(1, &expert.up));
    const Choice outputs{.first = e * hidden, .count = hidden};
    HEARTH_RETURN_IF_ERROR(quantised ? loader.joint(Joint::kExperts, down, moe.experts * hidden,
                                                    ffn, outputs, own, &expert.down)
                                     : loader.transposed(down, moe.experts * ffn, hidden,
                                                         rows_of(own, 1, e * ffn),
                                                         {.count = hidden}, &expert.down));
  }
  std::vector<float> both;
  HEARTH_RETURN_IF_ERROR(loader.rows(gate_up + "_bias", moe.experts, 2 * ffn, &both));
  w.gate_bias = own_columns(every_second(both, 0), spec, loader.slice());
  w.up_bias = own_columns(every_second(both, 1), spec, loader.slice());
  return load_down_bias(loader, down + "_bias", spec, w);
}

Result<void> load_split_experts(WeightLoader& loader, const std::string& prefix,
                                const ModelSpec& spec, MixtureWeights& w) {
  const MoeSpec& moe = *spec.moe;
  HEARTH_RETURN_IF_ERROR(load_experts(loader, prefix, spec, w));
  const auto bias = [&](const char* name, std::vector<float>* out) -> Result<void> {
    std::vector<float> all;
    HEARTH_RETURN_IF_ERROR(loader.rows(prefix + name, moe.experts, moe.ffn, &all));
    *out = own_columns(all, spec, loader.slice());
    return {};
  };
  HEARTH_RETURN_IF_ERROR(bias("gate_proj.bias", &w.gate_bias));
  HEARTH_RETURN_IF_ERROR(bias("up_proj.bias", &w.up_bias));
  return load_down_bias(loader, prefix + "down_proj.bias", spec, w);
}

Result<void> load_layer(WeightLoader& loader, const ModelSpec& spec, int layer, LayerWeights& w) {
  const std::string prefix = layer_prefix(layer);
  const int experts = spec.moe->experts;
  MixtureWeights& m = w.mixture;
  HEARTH_RETURN_IF_ERROR(load_norms(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(load_attention(loader, spec, layer, w));
  HEARTH_RETURN_IF_ERROR(
      loader.vector_part(prefix + "self_attn.sinks", spec.heads, loader.slice().heads, &w.sinks));
  HEARTH_RETURN_IF_ERROR(
      loader.matrix(prefix + "mlp.router.weight", experts, spec.hidden, &m.router));
  HEARTH_RETURN_IF_ERROR(loader.vector(prefix + "mlp.router.bias", experts, &m.router_bias));
  m.experts.resize(experts);
  const std::string expert_prefix = prefix + "mlp.experts.";
  return loader.has(expert_prefix + "gate_up_proj")
             ? load_fused_experts(loader, expert_prefix, spec, m)
             : load_split_experts(loader, expert_prefix, spec, m);
}

}  // namespace

const ArchitectureCode kGptOss = {.architecture = Architecture::kGptOss,
                                  .model_types = kModelTypes,
                                  .gguf_names = kGgufNames,
                                  .tensor_names = kTensorNames,
                                  .set_defaults = set_defaults,
                                  .read_config = read_config,
                                  .read_gguf = read_gguf,
                                  .load_layer = load_layer,
                                  .attention = grouped_query_attention,
                                  .feed_forward = mixture_of_experts};

}  // namespace hearth::engine
