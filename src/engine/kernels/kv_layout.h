// How keys and values of one head lie in a page of the cache, for every type of numbers. K is the
// key's dimensions, W the value's padded to a multiple of 16:
//   pairs    keys [K/2][32 tokens][2 dims], then values [W/16][32/2 token pairs][16 dims][2 tokens]
//   floats   keys [K][32 tokens], then values [W/16][32 tokens][16 dims]
// A vector of keys holds 16 tokens, one of values 16 dimensions, so no sum crosses lanes; a pair is
// what an integer dot product takes at once. Types with scales end in one float for each token's
// key, [32], and one for its value, [32]. Where the value is the first numbers of the key itself
// (latent attention), a page holds keys only.
#pragma once

#include <cstdint>

#include "engine/kernels/layout.h"

namespace hearth::engine::kernels {

constexpr int kPageTokens = 32;
constexpr int kHeadDimMax = 1024;
constexpr int kKvTypes = 4;  // of engine::KvType, whose order indexes the tables

struct KvFormat {
  int bytes = 0;  // of a number
  bool pairs = false;
  int largest = 0;  // integer; 0: floats without scales
};
constexpr KvFormat kKvFormats[kKvTypes] = {
    {4, false, 0},     // F32
    {2, true, 16383},  // Q16
    {2, true, 0},      // BF16
    {1, true, 127},    // Q8
};
// The length that a vector of integers may have: sums of products of two such stay in 32 bits
// (Cauchy-Schwarz), with room for the rounding of up to kHeadDimMax numbers.
constexpr float kKvNormMax = 46300;

// One head's keys and values.
struct KvHead {
  int key_dim = 0;  // even
  int value_dim = 0;
  bool shared = false;  // the value is the first value_dim numbers of the key
};
static constexpr int64_t kv_width(const KvHead& head) {
  return (head.value_dim + 15) / 16 * int64_t{16};
}

// Where a number of token t (of the page) is, counted in numbers from the page's begin.
static constexpr int64_t kv_key_at(const KvFormat& format, int t, int d) {
  return format.pairs ? (d / 2 * kPageTokens + t) * 2 + d % 2 : d * kPageTokens + t;
}
static constexpr int64_t kv_value_at(const KvFormat& format, const KvHead& head, int t, int d) {
  const int64_t column = int64_t{kPageTokens} * head.key_dim + d / 16 * 16 * kPageTokens;
  return column + (format.pairs ? (t / 2 * 16 + d % 16) * 2 + t % 2 : t * 16 + d % 16);
}

// Bytes before the scales, of the scales of keys and of values together, and of a page.
static constexpr int64_t kv_scales_at(const KvFormat& format, const KvHead& head) {
  return kPageTokens * (head.key_dim + (head.shared ? 0 : kv_width(head))) * format.bytes;
}
static constexpr int64_t kv_head_bytes(const KvFormat& format, const KvHead& head) {
  const int scales = format.largest == 0 ? 0 : head.shared ? 1 : 2;
  return kv_scales_at(format, head) + scales * kPageTokens * int64_t{sizeof(float)};
}

}  // namespace hearth::engine::kernels
