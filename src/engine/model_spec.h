// What a model is, apart from its numbers: read from config.json or from GGUF metadata, and all
// that the graph code sees besides named tensors. Sources: https://huggingface.co/docs/transformers
// (config.json of each architecture), https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hearth::engine {

enum class Architecture {
  kLlama,  // and Mistral
  kQwen2,
  kQwen2Moe,
  kQwen3,
  kQwen3Moe,
  kDeepseekV3,  // and Kimi K2
  kGptOss,
  kGemma3,
  kGlm4Moe,
  kPhi3,
  kMinimaxM2,
  kQwen3Next,
  kQwen35,
  kQwen35Moe,
};

enum class RopeScaling { kNone, kLinear, kDynamic, kLlama3, kYarn, kLongRope };

// Rotary position embedding; models/rope.h has the arithmetic.
struct RopeSpec {
  double theta = 10000.0;
  int dimensions = 0;  // rotated, the first of each head (of the rotary part, for latent attention)
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;            // kLinear, kDynamic, kLlama3, kYarn
  double low_freq_factor = 1.0;   // kLlama3
  double high_freq_factor = 4.0;  // kLlama3
  int original_context = 8192;    // all but kLinear
  double beta_fast = 32;          // kYarn
  double beta_slow = 1;           // kYarn
  bool truncate = true;           // kYarn: the correction range ends at whole dimensions
  double attention_factor = 1;    // multiplies cosines and sines
  // kLongRope: divisors of the frequencies for sequences up to original_context and beyond.
  // [dimensions / 2]
  std::vector<float> short_factors, long_factors;
  // GGUF files carry llama3 scaling as a tensor "rope_freqs.weight" [dimensions / 2] of divisors;
  // when the file has one it is loaded here and used instead of the formula.
  std::vector<float> frequency_divisors;
  // Pairs are adjacent (2i, 2i + 1), as in DeepSeek's models and, by permuted rows of Q and K, in
  // GGUF's llama files; otherwise (i, i + dimensions / 2).
  bool interleaved = false;
};

// What a feed-forward layer does with its gate and up projections.
enum class Activation {
  kSilu,      // silu(gate) * up
  kGeluTanh,  // gelu(gate) * up, by the tanh approximation
  kSwigluOss  // gpt-oss: (clamp(up) + 1) * gate * sigmoid(1.702 gate), gate clamped from above
};

enum class ExpertScoring {
  kSoftmax,         // of all experts, then the best are taken
  kSigmoid,         // of each expert
  kSoftmaxOfChosen  // the best are taken, then softmax over those
};

// Mixture of experts (Shazeer et al., https://arxiv.org/abs/1701.06538).
struct MoeSpec {
  int experts = 0;
  int used = 0;        // per token
  int ffn = 0;         // width of one expert
  int shared_ffn = 0;  // width of the experts that every token passes through; 0: none
  ExpertScoring scoring = ExpertScoring::kSoftmax;
  bool normalise = false;    // the chosen weights are scaled to sum 1
  float weight_scale = 1.0;  // of the chosen weights
  // The experts form `groups` equal groups; only the groups_used best, by the sum of their two best
  // experts, are chosen from.
  int groups = 1;
  int groups_used = 1;
  std::vector<bool> sparse;  // [layers]; the other layers have a plain feed-forward layer

  bool in_layer(int layer) const { return sparse[layer]; }
};

// Multi-head latent attention (DeepSeek-V2, https://arxiv.org/abs/2405.04434). The cache keeps one
// latent vector and one rotated key a token, shared by all heads.
struct LatentAttentionSpec {
  int query_rank = 0;  // of the compressed query; 0: queries are not compressed
  int latent_dim = 0;  // of the compressed keys and values
  int nope_dim = 0;    // of a head's query and key without position
  int rotary_dim = 0;  // of a head's query and the shared key with position
  int value_dim = 0;   // of a head
};

// Gated delta net (https://arxiv.org/abs/2412.06464): linear attention. Instead of keys and values,
// a layer keeps a matrix S [key_dim, value_dim] for each value head, and for every token
//   S = decay S;  S += k (beta (v - S^T k))^T;  what it gives is S^T q
// with decay = exp(-decay_rate softplus(a + decay_offset)) and beta = sigmoid(b). q, k and v are
// the SiLU of a causal convolution of each of their channels; q and k have length 1 then, and q is
// divided by sqrt(key_dim).
struct DeltaNetSpec {
  int key_heads = 0;
  int value_heads = 0;  // a multiple of key_heads
  int key_dim = 0;      // of a head's query and key
  int value_dim = 0;    // of a head's value
  int kernel = 0;       // inputs that the convolution sees, the token's own included
  // Value head h uses the query and key of head h % key_heads; otherwise those of
  // h / (value_heads / key_heads).
  bool tiled = false;
  std::vector<bool> linear;  // [layers]; the other layers attend

  int key_head(int value_head) const {
    return tiled ? value_head % key_heads : value_head / (value_heads / key_heads);
  }
  int64_t keys() const { return int64_t{key_heads} * key_dim; }
  int64_t values() const { return int64_t{value_heads} * value_dim; }
  int64_t channels() const { return 2 * keys() + values(); }  // of the convolution: q, k, v
  // Numbers that a linear layer keeps for each sequence.
  int64_t state_numbers() const { return values() * key_dim + channels() * (kernel - 1); }
};

struct ModelSpec {
  Architecture architecture = Architecture::kLlama;
  std::string architecture_name;  // "llama"
  std::string name;               // for people
  int layers = 0;
  int draft_layers = 0;  // beyond `layers` in the file: multi-token prediction, not computed
  int hidden = 0;        // width of the residual stream
  int ffn = 0;           // width of the plain feed-forward layer
  int heads = 0;
  int kv_heads = 0;   // divides heads
  int head_dim = 0;   // of queries and keys
  int value_dim = 0;  // of values
  int vocab = 0;      // rows of the embedding; may exceed the tokenizer's ids
  int context = 0;    // longest sequence the model was made for
  float norm_epsilon = 1e-5f;
  bool norm_plus_one = false;    // the files hold the norms' weights less 1 (Gemma)
  float embedding_scale = 1.0f;  // of the embedding's rows
  bool tied_embedding = false;   // the head is the embedding, transposed
  bool attention_bias = false;   // Q, K, V have biases
  bool qk_norm = false;          // RMSNorm over each head of Q and K,
  bool qk_norm_whole = false;    //   or over all heads together
  bool attention_gate = false;   // the sigmoid of a projection multiplies what the heads give
  float attention_scale = 0;     // of the scores
  Activation activation = Activation::kSilu;
  RopeSpec rope;

  // Sliding-window layers: a token sees itself and the window - 1 before it. 0: there are none.
  int window = 0;
  std::vector<bool> sliding;           // [layers], or empty
  std::optional<RopeSpec> local_rope;  // of the sliding layers, where it differs

  std::optional<MoeSpec> moe;
  std::optional<LatentAttentionSpec> latent;
  std::optional<DeltaNetSpec> delta;

  std::vector<int32_t> eos_ids;  // generation ends at any of these
  int32_t bos_id = -1;           // -1: none

  bool slides(int layer) const { return window > 0 && !sliding.empty() && sliding[layer]; }
  bool sparse(int layer) const { return moe && moe->in_layer(layer); }
  bool linear(int layer) const { return delta && delta->linear[layer]; }
};

}  // namespace hearth::engine
