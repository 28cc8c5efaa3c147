// What one instruction set provides: plain functions over plain arrays, so that the files compiled
// for it need no header whose inline code could leak into the rest of the program. Every function
// is reentrant and touches no memory but its arguments'. Weights are 64-byte aligned; nothing else
// needs alignment. Layout of weights: layout.h. Reference of every function: scalar/scalar.cc.
//
// Activations enter a product as a tile of m = 1 to kTileRows rows, laid out so that one weight
// vector meets its m partners side by side (K is the padded number of columns):
//   float      [K][m]
//   quantised  [K/n][m] times 2n bytes, n integers in the form that the instruction set likes (n is
//              4 or 8), with scales [K/32][m] and sums [K/16][m] of 16 integers
// A product of more rows takes consecutive tiles, of which only the last may be smaller.
//
// The result for one row never depends on m, on the tile, or on the range of blocks: each output
// is summed in the same order by every shape of the loop.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/kv_layout.h"
#include "engine/kernels/layout.h"

namespace hearth::engine::kernels {

constexpr int kPanelRowsDefault = 24;

// out[row][column] (+)= sum over k of weight[column][k] * x[row][k], for the columns of the blocks
// [block_begin, block_end).
struct MatmulArgs {
  const std::byte* weights = nullptr;  // block 0
  int64_t block_bytes = 0;             // from one block to the next
  GroupFormat groups;                  // of weights that have their own scales
  int64_t columns = 0;                 // K
  int rows = 0;                        // of activations
  const float* x = nullptr;            // float tiles, or
  const std::byte* xq = nullptr;       //   quantised tiles
  const float* xq_scales = nullptr;    //
  const int32_t* xq_sums = nullptr;    //
  const std::byte* slabs = nullptr;    //   slabs (SlabKernels)
  float* out = nullptr;                // [rows, out_stride]
  int64_t out_stride = 0;
  int64_t out_columns = 0;  // the matrix's rows without padding
  int64_t block_begin = 0;
  int64_t block_end = 0;
  bool add = false;  // add to what `out` holds
  // Quantised activations of at least so many rows are multiplied by way of unpacked panels: which
  // number is best depends on the encoding and the machine; the result does not depend on it.
  int panel_rows = kPanelRowsDefault;
  std::byte* panel = nullptr;  // panel_bytes(columns) of room for that, 64-byte aligned
};

// What a panel of unpacked weights takes: dot products' operands, scales and mins.
constexpr int kPanelBlocksMax = 2;
constexpr int kPanelQuadBytes = 128;
static constexpr int64_t panel_bytes(int64_t columns) {
  return kPanelBlocksMax *
         (columns / 4 * kPanelQuadBytes + 2 * columns / kHalfGroup * kBlockRows * 4);
}

// out[row][column] = sum over i of weight[i][column] * x[row][i], for all columns: a product with
// the transposed matrix, which a file may hold the other way round. Weights are packed as for any
// product; rows of activations are floats as they are, and what is above about a row's result holds
// too.
struct TransposedArgs {
  const std::byte* weights = nullptr;
  int64_t block_bytes = 0;
  GroupFormat groups;
  int64_t inputs = 0;   // rows of the matrix, without padding
  int64_t outputs = 0;  // columns of the matrix, without padding
  int rows = 0;         // of activations
  const float* x = nullptr;
  int64_t x_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  float* panel = nullptr;  // transposed_panel_floats(inputs, outputs) of room, 64-byte aligned
};
// What 32 columns of weights take as floats, or the sums of one row.
static constexpr int64_t transposed_panel_floats(int64_t inputs, int64_t outputs) {
  const int64_t columns = round_up(inputs, kBlockRows) * kGroup;
  const int64_t sums = round_up(outputs, kGroup) * kBlockRows;
  return columns > sums ? columns : sums;
}

// Puts a token's key and value into a page of one head's cache (kv_layout.h).
struct KvStoreArgs {
  std::byte* page = nullptr;
  int token = 0;  // of the page
  KvHead head;
  const float* key = nullptr;
  const float* value = nullptr;  // not read where head.shared
};

constexpr int kTileQueries = 64;
constexpr int kAttentionBlock = 128;  // tokens whose scores are computed before their values
constexpr int kSpanTokens = 1024;     // a multiple of it, that are summed up apart from the others

// Attention of up to kTileQueries queries over one sequence's keys and values of one KV head.
// The cache is paged: `pool` + table[i] * page_bytes is page i of this head (kv_layout.h). Tokens
// from the longest length on may be anything, NaN included. Pages before the earliest start are
// not read, nor their entries in the table.
//
// With integers in the cache queries and weights are rounded to integers too: results err by some
// 1e-4 of the values' size (see generic/attention.h).
struct AttentionArgs {
  const float* const* queries = nullptr;  // [count] vectors [key_dim]
  float* const* outputs = nullptr;        // [count] vectors [value_dim]
  const int* starts = nullptr;            // [count] first token that each query sees
  const int* lengths = nullptr;           // [count] the first that it does not, > its start
  // [count] logits of a token without a value that each query sees too (attention sinks,
  // https://arxiv.org/abs/2309.17453), or null
  const float* sinks = nullptr;
  int count = 0;
  KvHead head;
  float scale = 1;  // of the scores
  const std::byte* pool = nullptr;
  const int32_t* table = nullptr;
  int64_t page_bytes = 0;
  float* scratch = nullptr;  // [attention_scratch_floats(head)]
  // What the queries see of one span, the tokens [span_begin, span_begin + kSpanTokens), instead of
  // all: records [count][kv_record_floats(head)] in place of outputs and sinks. add_spans() makes
  // an output of a query's records, the same, bit for bit.
  float* span_records = nullptr;
  int span_begin = 0;  // a multiple of kSpanTokens
};
static constexpr int64_t kv_record_floats(const KvHead& head) { return kv_width(head) + 32; }
static constexpr int64_t attention_scratch_floats(const KvHead& head) {
  return kTileQueries * (head.key_dim + kAttentionBlock + 16 + 2 * kv_record_floats(head)) +
         (head.shared ? kAttentionBlock * kv_width(head) : 0);
}
struct SpansArgs {
  float* records = nullptr;  // the query's, `stride` floats from a span's to the next one's
  int64_t stride = 0;
  int spans = 0;
  const float* sink = nullptr;  // or null
  KvHead head;
  float* scratch = nullptr;  // [kv_record_floats(head)]
  float* out = nullptr;      // [value_dim]
};
constexpr float kSwigluLimit = 7.0f;  // of swiglu_oss
constexpr int kQuadBytes = 8;         // that four quantised activations take

// One token of the gated delta rule (DeltaNetSpec in model_spec.h) in one head:
//   S = decay S;  S += key (beta (value - S^T key))^T;  out = S^T query
struct DeltaRuleArgs {
  float* state = nullptr;  // S [key_dim, value_dim]
  int key_dim = 0;
  int value_dim = 0;
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  float decay = 0;
  float beta = 0;
  float* out = nullptr;  // [value_dim]
};

// Indexed by engine::KvType.
struct AttentionKernels {
  void (*store[kKvTypes])(const KvStoreArgs& args);
  void (*attend[kKvTypes])(const AttentionArgs& args);
  void (*add_spans)(const SpansArgs& args);
};

using Matmul = void (*)(const MatmulArgs& args);
using MatmulTransposed = void (*)(const TransposedArgs& args);

// Products of many rows, of instruction sets with a unit that multiplies matrices. Instead of tiles
// it takes activations as slabs of at most kSlabRows rows, which hold kSlabGroupBytes for every
// 32 columns, in the form that the unit likes; at least 16 bits of every number are kept.
//
// The result for one row does not depend on the others, as above, but differs in its last bits from
// what the functions for tiles give.
struct SlabKernels {
  const Matmul* matmul = nullptr;  // by engine::Encoding; null for those without such a product
  // Puts row `row` of `rows` [rows, columns] into its place. Threads may do different rows
  // together.
  void (*fill)(const float* x, int64_t columns, int row, int rows, std::byte* slabs) = nullptr;
};
constexpr int kSlabRows = 16;
// From how many rows on slabs are multiplied faster than tiles depends on the encoding and the
// machine. Eight rows take the vector unit about as long as unpacking their weights takes alone.
constexpr int kSlabsFromDefault = kTileRows + 1;
constexpr int kSlabGroupBytes = 2240;

static constexpr int64_t slabs_bytes(int64_t rows, int64_t columns) {
  return round_up(rows, kSlabRows) / kSlabRows * (round_up(columns, kGroup) / kGroup) *
         kSlabGroupBytes;
}

struct Kernels {
  // Indexed by engine::Encoding. Float activations, any encoding.
  const Matmul* matmul = nullptr;
  // Quantised activations; null for encodings that are not quantised (floats, FP8 too).
  const Matmul* matmul_q = nullptr;
  const MatmulTransposed* matmul_transposed = nullptr;

  // One tile from rows [m, columns]; what lies between columns and K becomes zero.
  void (*tile_f32)(const float* rows, int m, int64_t columns, float* tile);
  // The same, quantised: for each group of 32, scale = max |x| / kQuantMax and q = round(x /
  // scale).
  void (*tile_q)(const float* rows, int m, int64_t columns, std::byte* tile, float* scales,
                 int32_t* sums);

  // out[i] = x[i] / sqrt(mean of squares + epsilon) * weight[i]. out may be x.
  void (*rms_norm)(const float* x, const float* weight, int64_t n, float epsilon, float* out);
  // Rotates pairs (i, i + n/2) of x [n] by angles with the given cosines and sines [n/2], in place.
  void (*rope_half)(float* x, const float* cosines, const float* sines, int n);
  // The same for pairs (2i, 2i + 1).
  void (*rope_interleaved)(float* x, const float* cosines, const float* sines, int n);
  // gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
  void (*silu_mul)(float* gate, const float* up, int64_t n);
  // gate[i] = gate[i] / (1 + exp(-2 u)) * up[i] with u = sqrt(2 / pi) (gate[i] + 0.044715
  // gate[i]^3): GELU by its tanh approximation (https://arxiv.org/abs/1606.08415).
  void (*gelu_mul)(float* gate, const float* up, int64_t n);
  // gate[i] = g / (1 + exp(-1.702 g)) * (u + 1) with g = min(gate[i], limit) and u = up[i] clamped
  // to [-limit, limit] (https://github.com/openai/gpt-oss, gpt_oss/torch/model.py, swiglu).
  void (*swiglu_oss)(float* gate, const float* up, int64_t n);
  // x[i] += y[i]
  void (*add)(float* x, const float* y, int64_t n);

  void (*delta_rule)(const DeltaRuleArgs& args);
  const AttentionKernels* attention = nullptr;

  // Does, `repeats` times over, nothing but what a product's inner loop must for some
  // multiply-adds, and gives how many they were in all: the ceiling of matmul and of matmul_q.
  double (*peak_float)(int64_t repeats);
  double (*peak_quantised)(int64_t repeats);
};

}  // namespace hearth::engine::kernels
