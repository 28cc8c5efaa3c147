// What tests compare whole models with: logits of small models, computed elsewhere.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "engine/formats/mapped_file.h"
#include "engine/formats/safetensors.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"

namespace hearth::engine {

struct Reference {
  const char* name;
  const char* model;      // under tests/golden
  const char* golden;     // under tests/golden
  int64_t kv_tokens = 0;  // of LoadOptions: the capacity by which LongRoPE chooses its factors
};

inline constexpr Reference kReferences[] = {
    {"llama", "models/llama", "models/llama/golden.safetensors"},
    {"qwen2", "models/qwen2", "models/qwen2/golden.safetensors"},
    {"qwen3", "models/qwen3", "models/qwen3/golden.safetensors"},
    {"llama_gguf", "gguf/llama.gguf", "models/llama/golden.safetensors"},
    {"qwen2_gguf", "gguf/qwen2.gguf", "models/qwen2/golden.safetensors"},
    {"qwen3_gguf", "gguf/qwen3.gguf", "models/qwen3/golden.safetensors"},
    {"mistral", "models/mistral", "models/mistral/golden.safetensors"},
    {"qwen3_moe", "models/qwen3_moe", "models/qwen3_moe/golden.safetensors"},
    {"deepseek_v3", "models/deepseek_v3", "models/deepseek_v3/golden.safetensors"},
    {"kimi_k2", "models/kimi_k2", "models/kimi_k2/golden.safetensors"},
    {"gpt_oss", "models/gpt_oss", "models/gpt_oss/golden.safetensors"},
    {"gemma3_text", "models/gemma3_text", "models/gemma3_text/golden.safetensors"},
    {"glm4_moe", "models/glm4_moe", "models/glm4_moe/golden.safetensors"},
    {"phi3", "models/phi3", "models/phi3/golden.safetensors"},
    {"qwen3_moe_gguf", "gguf/qwen3_moe.gguf", "models/qwen3_moe/golden.safetensors"},
    {"deepseek_v3_gguf", "gguf/deepseek_v3.gguf", "models/deepseek_v3/golden.safetensors"},
    {"kimi_k2_gguf", "gguf/kimi_k2.gguf", "models/kimi_k2/golden.safetensors"},
    {"gpt_oss_gguf", "gguf/gpt_oss.gguf", "models/gpt_oss/golden.safetensors"},
    {"gemma3_text_gguf", "gguf/gemma3_text.gguf", "models/gemma3_text/golden.safetensors"},
    {"glm4_moe_gguf", "gguf/glm4_moe.gguf", "models/glm4_moe/golden.safetensors"},
    {"phi3_gguf", "gguf/phi3.gguf", "models/phi3/golden.safetensors"},
    {"qwen2_moe", "models/qwen2_moe", "models/qwen2_moe/golden.safetensors"},
    {"minimax_m2", "models/minimax_m2", "models/minimax_m2/golden.safetensors"},
    {"qwen3_next", "models/qwen3_next", "models/qwen3_next/golden.safetensors"},
    {"qwen3_5", "models/qwen3_5", "models/qwen3_5/golden.safetensors"},
    {"qwen3_5_moe", "models/qwen3_5_moe", "models/qwen3_5_moe/golden.safetensors"},
    {"qwen2_moe_gguf", "gguf/qwen2_moe.gguf", "models/qwen2_moe/golden.safetensors"},
    {"minimax_m2_gguf", "gguf/minimax_m2.gguf", "models/minimax_m2/golden.safetensors"},
    {"qwen3_next_gguf", "gguf/qwen3_next.gguf", "models/qwen3_next/golden.safetensors"},
    {"qwen3_5_gguf", "gguf/qwen3_5.gguf", "models/qwen3_5/golden.safetensors"},
    {"qwen3_5_moe_gguf", "gguf/qwen3_5_moe.gguf", "models/qwen3_5_moe/golden.safetensors"},
    {"llama_linear", "models/llama_linear", "models/llama_linear/golden.safetensors"},
    {"qwen2_yarn", "models/qwen2_yarn", "models/qwen2_yarn/golden.safetensors"},
    {"phi3_longrope", "models/phi3_longrope", "models/phi3_longrope/golden.safetensors", 192},
    {"phi3_longrope_long", "models/phi3_longrope", "models/phi3_longrope/golden-long.safetensors"},
    {"F16", "encodings/llama-F16.gguf", "encodings/llama-F16.golden.safetensors"},
    {"BF16", "encodings/llama-BF16.gguf", "encodings/llama-BF16.golden.safetensors"},
    {"Q4_0", "encodings/llama-Q4_0.gguf", "encodings/llama-Q4_0.golden.safetensors"},
    {"Q4_1", "encodings/llama-Q4_1.gguf", "encodings/llama-Q4_1.golden.safetensors"},
    {"Q5_0", "encodings/llama-Q5_0.gguf", "encodings/llama-Q5_0.golden.safetensors"},
    {"Q5_1", "encodings/llama-Q5_1.gguf", "encodings/llama-Q5_1.golden.safetensors"},
    {"Q8_0", "encodings/llama-Q8_0.gguf", "encodings/llama-Q8_0.golden.safetensors"},
    {"Q2_K", "encodings/llama-Q2_K.gguf", "encodings/llama-Q2_K.golden.safetensors"},
    {"Q3_K_M", "encodings/llama-Q3_K_M.gguf", "encodings/llama-Q3_K_M.golden.safetensors"},
    {"Q4_K_M", "encodings/llama-Q4_K_M.gguf", "encodings/llama-Q4_K_M.golden.safetensors"},
    {"Q5_K_M", "encodings/llama-Q5_K_M.gguf", "encodings/llama-Q5_K_M.golden.safetensors"},
    {"Q6_K", "encodings/llama-Q6_K.gguf", "encodings/llama-Q6_K.golden.safetensors"},
    {"IQ4_NL", "encodings/llama-IQ4_NL.gguf", "encodings/llama-IQ4_NL.golden.safetensors"},
    {"IQ4_XS", "encodings/llama-IQ4_XS.gguf", "encodings/llama-IQ4_XS.golden.safetensors"},
    {"mlx_3", "encodings/mlx-3bit-g64", "encodings/mlx-3bit-g64/golden.safetensors"},
    {"mlx_4_g32", "encodings/mlx-4bit-g32", "encodings/mlx-4bit-g32/golden.safetensors"},
    {"mlx_4_g64", "encodings/mlx-4bit-g64", "encodings/mlx-4bit-g64/golden.safetensors"},
    {"mlx_6", "encodings/mlx-6bit-g64", "encodings/mlx-6bit-g64/golden.safetensors"},
    {"mlx_8", "encodings/mlx-8bit-g64", "encodings/mlx-8bit-g64/golden.safetensors"},
    {"int4", "encodings/compressed-int4-g32", "encodings/compressed-int4-g32/golden.safetensors"},
    {"fp8", "encodings/fp8-block128", "encodings/fp8-block128/golden.safetensors"},
};

inline std::string path_of(const std::string& name) {
  return std::string(HEARTH_SOURCE_DIR) + "/tests/golden/" + name;
}

struct Golden {
  std::vector<int32_t> ids;
  std::vector<float> logits;    // [ids, vocab]
  std::vector<int32_t> greedy;  // what follows the ids; may be empty
};

inline Golden read_golden(const Reference& reference) {
  const auto file = MappedFile::open(path_of(reference.golden));
  EXPECT_TRUE(file.ok());
  const auto tensors = parse_safetensors(file->bytes(), reference.golden);
  EXPECT_TRUE(tensors.ok());
  Golden golden;
  for (const FileTensor& tensor : *tensors) {
    if (tensor.name == "logits") {
      golden.logits.resize(tensor.bytes.size() / sizeof(float));
      std::memcpy(golden.logits.data(), tensor.bytes.data(), tensor.bytes.size());
      continue;
    }
    std::vector<int64_t> wide(tensor.bytes.size() / sizeof(int64_t));
    std::memcpy(wide.data(), tensor.bytes.data(), tensor.bytes.size());
    (tensor.name == "input_ids" ? golden.ids : golden.greedy).assign(wide.begin(), wide.end());
  }
  EXPECT_FALSE(golden.ids.empty() || golden.logits.empty());
  return golden;
}

// Loads with HEARTH_ISA set to `isa`, or unset if it is empty.
inline Result<std::unique_ptr<RankModel>> load_with(const std::string& model, LoadOptions options,
                                                    std::string_view isa = {}) {
  HEARTH_TRY(const auto files, ModelFiles::open(path_of(model)));
  if (options.shard.layer_end == 0) options.shard.layer_end = files->spec().layers;
  if (!isa.empty()) ::setenv("HEARTH_ISA", std::string(isa).c_str(), 1);
  auto loaded = RankModel::load(*files, options);
  ::unsetenv("HEARTH_ISA");
  return loaded;  // the files are gone: the model must not need them
}

inline std::unique_ptr<RankModel> load(const std::string& model, const LoadOptions& options,
                                       std::string_view isa = {}) {
  auto loaded = load_with(model, options, isa);
  EXPECT_TRUE(loaded.ok()) << loaded.error().message();
  return std::move(loaded).value();
}

inline std::vector<int32_t> all_rows(int rows) {
  std::vector<int32_t> numbers(rows);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

inline int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

inline float max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float max = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    if (!(difference <= max)) max = difference;  // also NaN
  }
  return max;
}

struct Agreement {
  double divergence = 0;  // mean Kullback-Leibler divergence from the reference, in nats
  double top1 = 0;        // share of rows with the same most likely token
};

inline Agreement agreement(const std::vector<float>& reference, const std::vector<float>& logits,
                           int rows) {
  const size_t vocab = reference.size() / rows;
  const auto log_sum = [](std::span<const float> row) {
    double sum = 0;
    for (const float logit : row) sum += std::exp(static_cast<double>(logit));
    return std::log(sum);
  };
  Agreement result;
  for (int r = 0; r < rows; ++r) {
    const auto p = std::span(reference).subspan(r * vocab, vocab);
    const auto q = std::span(logits).subspan(r * vocab, vocab);
    const double log_p = log_sum(p);
    const double log_q = log_sum(q);
    for (size_t i = 0; i < vocab; ++i) {
      result.divergence += std::exp(p[i] - log_p) * ((p[i] - log_p) - (q[i] - log_q)) / rows;
    }
    result.top1 += static_cast<double>(most_likely(p) == most_likely(q)) / rows;
  }
  return result;
}

}  // namespace hearth::engine
