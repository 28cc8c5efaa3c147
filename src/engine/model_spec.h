// What a model is, apart from its numbers: read from config.json or from GGUF metadata, and all
// that the graph code sees besides named tensors. Sources: https://huggingface.co/docs/transformers
// (config.json of each architecture), https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth::engine {

enum class Architecture { kLlama, kQwen2, kQwen3 };

enum class RopeScaling { kNone, kLinear, kLlama3 };

struct RopeSpec {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;            // kLinear, kLlama3
  double low_freq_factor = 1.0;   // kLlama3
  double high_freq_factor = 4.0;  // kLlama3
  int original_context = 8192;    // kLlama3
  // GGUF files carry llama3 scaling as a tensor "rope_freqs.weight" [head_dim / 2] of divisors;
  // when the file has one it is loaded here and used instead of the formula.
  std::vector<float> frequency_divisors;
  // GGUF's llama files permute Q and K rows so that pairs are adjacent (2i, 2i+1); Hugging Face
  // pairs (i, i + d/2).
  bool interleaved = false;
};

struct ModelSpec {
  Architecture architecture = Architecture::kLlama;
  std::string architecture_name;  // "llama"
  std::string name;               // for people
  int layers = 0;
  int hidden = 0;  // width of the residual stream
  int ffn = 0;     // width of the feed-forward layer
  int heads = 0;
  int kv_heads = 0;  // divides heads
  int head_dim = 0;
  int vocab = 0;    // rows of the embedding; may exceed the tokenizer's ids
  int context = 0;  // longest sequence the model was made for
  float norm_epsilon = 1e-5f;
  bool tied_embedding = false;  // the head is the embedding, transposed
  bool attention_bias = false;  // Q, K, V have biases (qwen2)
  bool qk_norm = false;         // RMSNorm over each head of Q and K (qwen3)
  RopeSpec rope;

  std::vector<int32_t> eos_ids;  // generation ends at any of these
  int32_t bos_id = -1;           // -1: none
};

}  // namespace hearth::engine
