// The numbers that flow through a pass, allocated once.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/kernels/kernels.h"
#include "engine/model_spec.h"
#include "engine/tensor/buffer.h"

namespace hearth::engine {

// A pass takes at most this many rows at once; longer steps are cut. Enough for the weights to be
// read from memory once for many rows, and little memory.
constexpr int kPassRowsMax = 512;

// Rows that one worker prepares for itself alone.
constexpr int kPrivateRows = 64;

// Rows in the layouts of kernels::MatmulArgs.
struct TileStorage {
  float* x = nullptr;
  std::byte* xq = nullptr;
  float* xq_scales = nullptr;
  int32_t* xq_sums = nullptr;
  std::byte* slabs = nullptr;
};

// R is kPassRowsMax. What the model does not need stays null. Memory is taken when it is first
// written.
struct Activations {
  // What their number depends on besides the model.
  struct Room {
    int threads = 0;
    kernels::KvHead head;
    int64_t kv_tokens = 0;
    int slots = 0;
    bool slabs = false;  // whether there are some
  };
  static Result<Activations> create(const ModelSpec& spec, const Room& room);
  static int64_t bytes_wanted(const ModelSpec& spec, const Room& room);

  Buffer memory;
  float* x = nullptr;       // [R, hidden], the residual stream
  float* branch = nullptr;  // [R, hidden], what a block adds to it, where it is not added at once
  float* q = nullptr;       // [R, heads * head_dim]
  float* k = nullptr;       // [R, kv_heads * head_dim]
  float* v = nullptr;       // [R, kv_heads * value_dim]
  float* attention = nullptr;       // [R, heads * value_dim]
  float* attention_gate = nullptr;  // [R, heads * value_dim]
  float* squares = nullptr;         // [R, 2], sums over all heads of Q and of K
  float* spans = nullptr;           // records of all spans of all slots' tokens, [heads] each
  float* gate = nullptr;            // [R, ffn]
  float* up = nullptr;              // [R, ffn]

  // Cosines and sines of the rows' angles, [R, rope.dimensions / 2].
  struct Angles {
    float* cosines = nullptr;
    float* sines = nullptr;
  };
  Angles angles;
  Angles local_angles;  // of sliding layers with a rope of their own

  struct Latent {
    float* query = nullptr;      // [R, query_rank]
    float* key_value = nullptr;  // [R, latent_dim + rotary_dim], the latent and the rotated key
    float* absorbed = nullptr;   // [R, heads * (latent_dim + rotary_dim)], queries over these
    float* mixed = nullptr;      // [R, heads * latent_dim], what they attended to
  } latent;

  struct Delta {
    float* q = nullptr;  // [R, key_heads * key_dim]
    float* k = nullptr;  // [R, key_heads * key_dim]
    float* v = nullptr;  // [R, value_heads * value_dim]
    float* z = nullptr;  // [R, value_heads * value_dim], then what the layer gives
    float* a = nullptr;  // [R, value_heads]
    float* b = nullptr;  // [R, value_heads]
  } delta;

  struct Mixture {
    float* normed = nullptr;         // [R, hidden]
    float* scores = nullptr;         // [R, experts]
    int32_t* chosen = nullptr;       // [R, used], experts
    float* weights = nullptr;        // [R, used], of the chosen
    float* gate = nullptr;           // [R * used, width], sorted by expert
    float* up = nullptr;             // [R * used, width]
    float* out = nullptr;            // [R * used, hidden]
    float* shared_weight = nullptr;  // [R]
  } mixture;

  TileStorage shared;  // R rows of the widest input of a product
  struct Private {
    float* staging = nullptr;  // [kTileRows, widest]
    std::byte* panel =
        nullptr;       // kernels::panel_bytes(widest), and as much as transposed keys need
    TileStorage tile;  // kTileRows rows of the widest input, kPrivateRows of some
    float* attention = nullptr;  // scratch of kernels::AttentionArgs
    int32_t* order = nullptr;    // [R * used], the rows that chose each expert, expert by expert
    int32_t* begins = nullptr;   // [experts + 1], each expert's part of `order`
    int32_t* places = nullptr;   // [R * used], where in `order` each row's choices are
    float* scores = nullptr;     // [experts]
  };
  std::vector<Private> threads;  // one per worker
};

}  // namespace hearth::engine
