// The numbers that flow through a pass, allocated once.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/model_spec.h"
#include "engine/tensor/buffer.h"

namespace hearth::engine {

// A pass takes at most this many rows at once; longer steps are cut. Enough for the weights to be
// read from memory once for many rows, and little memory.
constexpr int kPassRowsMax = 512;

// Rows in the two tile layouts of kernels::MatmulArgs.
struct TileStorage {
  float* x = nullptr;
  std::byte* xq = nullptr;
  float* xq_scales = nullptr;
  int32_t* xq_sums = nullptr;
};

// R is kPassRowsMax.
struct Activations {
  static Result<Activations> create(const ModelSpec& spec, int threads);
  static int64_t bytes_wanted(const ModelSpec& spec, int threads);

  Buffer memory;
  float* x = nullptr;          // [R, hidden], the residual stream
  float* q = nullptr;          // [R, heads * head_dim]
  float* k = nullptr;          // [R, kv_heads * head_dim]
  float* v = nullptr;          // [R, kv_heads * head_dim]
  float* attention = nullptr;  // [R, heads * head_dim]
  float* gate = nullptr;       // [R, ffn]
  float* up = nullptr;         // [R, ffn]
  float* cosines = nullptr;    // [R, head_dim / 2]
  float* sines = nullptr;      // [R, head_dim / 2]
  TileStorage shared;          // R rows of the widest input of a product
  struct Private {
    float* normed = nullptr;  // [kTileRows, hidden]
    TileStorage tile;         // kTileRows rows of the widest input
  };
  std::vector<Private> threads;  // one per worker
};

}  // namespace hearth::engine
