// How the weights of a Hugging Face directory are quantised, as its config.json says.
// Sources: https://huggingface.co/docs/transformers/quantization (fp8, mxfp4),
// https://github.com/vllm-project/compressed-tensors (pack-quantized, float-quantized),
// https://github.com/ml-explore/mlx-lm and mlx.core.quantize (MLX). docs/formats.md has the
// layouts.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::engine {

// What the tensors may be; which of them are is told by their names and types (hf_weights.h).
struct HfQuantization {
  // FP8 weights with scales. A scale per block of this size; 0 x 0: per matrix or per row, which
  // the shape of the scales tells.
  bool fp8 = false;
  int64_t fp8_block_rows = 0;
  int64_t fp8_block_columns = 0;

  // Whole numbers packed into I32: the kinds that the groups of modules have.
  struct Packing {
    int bits = 4;              // 4 or 8
    int64_t group_size = 0;    // columns that share a scale; 0: the whole row
    bool zero_points = false;  // else the middle of the numbers means zero
  };
  std::vector<Packing> packings;

  // MLX's matrices: the default, and modules that differ from it.
  enum class MlxMode { kAffine, kMxfp4 };
  struct MlxModule {
    MlxMode mode = MlxMode::kAffine;
    int bits = 4;  // affine: 2, 3, 4, 5, 6 or 8
    int64_t group_size = 64;
  };
  bool mlx = false;
  MlxModule mlx_default;
  std::map<std::string, MlxModule, std::less<>> mlx_modules;

  // gpt-oss's X_blocks with X_scales.
  bool mxfp4 = false;

  // How the module (a tensor's name without ".weight") is quantised. REQUIRES: mlx.
  const MlxModule& mlx_module(std::string_view module) const;
};

// Reads `quantization` or `quantization_config`; nothing set when there is neither. kCorrupt names
// file and key; kUnsupported names a scheme that Hearth does not read and what to use instead.
Result<HfQuantization> quantization_of_config(const nlohmann::json& config,
                                              const std::string& file);

}  // namespace hearth::engine
