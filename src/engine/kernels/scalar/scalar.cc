// The reference: plain loops that say what every other instruction set computes.
#include <cmath>
#include <cstring>

#include "engine/kernels/numbers.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {
namespace {

struct Float32 {};
struct Float16 {};
struct BFloat16 {};
struct Quant8 {};
struct Quant4 {};
struct Quant6 {};

uint16_t load_u16(const std::byte* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The weight of lane n, column k of a block, without its scale.
float weight(Float32, const std::byte* block, int64_t, int64_t k, int n) {
  float value;
  std::memcpy(&value, block + (k * kBlockRows + n) * 4, sizeof value);
  return value;
}
float weight(Float16, const std::byte* block, int64_t, int64_t k, int n) {
  return from_f16(load_u16(block + (k * kBlockRows + n) * 2));
}
float weight(BFloat16, const std::byte* block, int64_t, int64_t k, int n) {
  return from_bf16(load_u16(block + (k / 2 * kBlockRows + n) * 4 + k % 2 * 2));
}
int weight(Quant8, const std::byte* block, int64_t, int64_t k, int n) {
  return static_cast<int>(block[(k / 4 * kBlockRows + n) * 4 + k % 4]) - 128;
}
int weight(Quant4, const std::byte* block, int64_t, int64_t k, int n) {
  const int byte = static_cast<int>(block[(k / 8 * kBlockRows + n) * 4 + k % 4]);
  return (k % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

int weight(Quant6, const std::byte* block, int64_t columns, int64_t k, int n) {
  const int low = weight(Quant4(), block, columns, k, n) + 8;
  const std::byte* plane = block + columns * 8;
  const int byte = static_cast<int>(plane[(k / 16 * kBlockRows + n) * 4 + k % 4]);
  return (low | (byte >> (k % 16 / 4 * 2) & 3) << 4) - 32;
}

// The scale of lane n for the 16 columns from k.
template <class Format>
float scale(Format, const std::byte*, int64_t, int64_t, int) {
  return 1.0f;
}
float scale(Quant8, const std::byte* block, int64_t columns, int64_t k, int n) {
  return from_f16(load_u16(block + columns * 16 + (k / kGroup * kBlockRows + n) * 2));
}
float scale(Quant4, const std::byte* block, int64_t columns, int64_t k, int n) {
  return from_f16(load_u16(block + columns * 8 + (k / kGroup * kBlockRows + n) * 2));
}
float scale(Quant6, const std::byte* block, int64_t columns, int64_t k, int n) {
  const std::byte* scales = block + columns * 12;
  const auto small = static_cast<int8_t>(scales[k / kHalfGroup * kBlockRows + n]);
  const std::byte* factors = scales + columns;
  return small * from_f16(load_u16(factors + (k / 256 * kBlockRows + n) * 2));
}

// Calls dot(tile, rows in the tile m, row in the tile i, block, lane) for every output and stores
// its value.
template <class Dot>
void for_each_output(const MatmulArgs& args, Dot dot) {
  for (int64_t b = args.block_begin; b < args.block_end; ++b) {
    const std::byte* block = args.weights + b * args.block_bytes;
    for (int r = 0; r < args.rows; ++r) {
      const int tile = r / kTileRows;
      const int left = args.rows - tile * kTileRows;
      const int m = left < kTileRows ? left : kTileRows;
      for (int n = 0; n < kBlockRows && b * kBlockRows + n < args.out_columns; ++n) {
        float* out = args.out + r * args.out_stride + b * kBlockRows + n;
        const float sum = dot(static_cast<int64_t>(tile) * kTileRows, m, r % kTileRows, block, n);
        *out = args.add ? *out + sum : sum;
      }
    }
  }
}

template <class Format>
void matmul(const MatmulArgs& args) {
  for_each_output(args, [&](int64_t first_row, int m, int i, const std::byte* block, int n) {
    const float* x = args.x + first_row * args.columns;
    float sum = 0;
    for (int64_t k = 0; k < args.columns; k += kHalfGroup) {
      float part = 0;
      for (int64_t j = k; j < k + kHalfGroup; ++j) {
        part += static_cast<float>(weight(Format(), block, args.columns, j, n)) * x[j * m + i];
      }
      sum += part * scale(Format(), block, args.columns, k, n);
    }
    return sum;
  });
}

// The scalar form of four quantised activations is four 16-bit integers in order.
int activation(const std::byte* tile, int m, int64_t k, int i) {
  return static_cast<int16_t>(load_u16(tile + (k / 4 * m + i) * kQuadBytes + k % 4 * 2));
}

template <class Format>
void matmul_q(const MatmulArgs& args) {
  for_each_output(args, [&](int64_t first_row, int m, int i, const std::byte* block, int n) {
    const std::byte* x = args.xq + first_row * args.columns / 4 * kQuadBytes;
    const float* x_scales = args.xq_scales + first_row * (args.columns / kGroup);
    float sum = 0;
    for (int64_t k = 0; k < args.columns; k += kHalfGroup) {
      int part = 0;
      for (int64_t j = k; j < k + kHalfGroup; ++j) {
        part += weight(Format(), block, args.columns, j, n) * activation(x, m, j, i);
      }
      const float both = scale(Format(), block, args.columns, k, n) * x_scales[k / kGroup * m + i];
      sum += static_cast<float>(part) * both;
    }
    return sum;
  });
}

void tile_f32(const float* rows, int m, int64_t columns, float* tile) {
  for (int i = 0; i < m; ++i) {
    for (int64_t k = 0; k < columns; ++k) tile[k * m + i] = rows[i * columns + k];
    for (int64_t k = columns; k < round_up(columns, kGroup); ++k) tile[k * m + i] = 0;
  }
}

// To the nearest integer that fits; anything for NaN.
int quantise(float value) {
  return value > kQuantMax     ? kQuantMax
         : value >= -kQuantMax ? static_cast<int>(std::nearbyint(value))
                               : -kQuantMax;
}

void tile_q(const float* rows, int m, int64_t columns, std::byte* tile, float* scales,
            int32_t* sums) {
  for (int i = 0; i < m; ++i) {
    const float* row = rows + i * columns;
    for (int64_t k = 0; k < round_up(columns, kGroup); k += kGroup) {
      const int64_t end = k + kGroup < columns ? k + kGroup : columns;
      float max = 0;
      for (int64_t j = k; j < end; ++j) max = std::fabs(row[j]) > max ? std::fabs(row[j]) : max;
      // Below this the reciprocal could overflow, and nothing is lost by zero.
      const float inverse = max > 1e-30f ? kQuantMax / max : 0;
      scales[k / kGroup * m + i] = max > 1e-30f ? max / kQuantMax : 0;
      for (int64_t half = k; half < k + kGroup; half += kHalfGroup) {
        int32_t sum = 0;
        for (int64_t j = half; j < half + kHalfGroup; ++j) {
          const int q = j < end ? quantise(row[j] * inverse) : 0;
          const auto stored = static_cast<int16_t>(q);
          std::memcpy(tile + (j / 4 * m + i) * kQuadBytes + j % 4 * 2, &stored, sizeof stored);
          sum += q;
        }
        sums[half / kHalfGroup * m + i] = sum;
      }
    }
  }
}

void rms_norm(const float* x, const float* weight, int64_t n, float epsilon, float* out) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i] * x[i];
  const float factor = 1 / std::sqrt(sum / static_cast<float>(n) + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

void rotate(float& a, float& b, float cosine, float sine) {
  const float rotated = a * cosine - b * sine;
  b = a * sine + b * cosine;
  a = rotated;
}

void rope_half(float* x, const float* cosines, const float* sines, int n) {
  for (int i = 0; i < n / 2; ++i) rotate(x[i], x[i + n / 2], cosines[i], sines[i]);
}

void rope_interleaved(float* x, const float* cosines, const float* sines, int n) {
  for (int i = 0; i < n / 2; ++i) rotate(x[2 * i], x[2 * i + 1], cosines[i], sines[i]);
}

void silu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

void gelu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float u = 0.7978845608f * (g + 0.044715f * g * g * g);
    gate[i] = 0.5f * g * (1 + std::tanh(u)) * up[i];
  }
}

void swiglu_oss(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = std::fmin(gate[i], kSwigluLimit);
    const float u = std::fmax(std::fmin(up[i], kSwigluLimit), -kSwigluLimit);
    gate[i] = g / (1 + std::exp(-1.702f * g)) * (u + 1);
  }
}

void add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void delta_rule(const DeltaRuleArgs& args) {
  for (int j = 0; j < args.value_dim; ++j) {
    float* state = args.state + j;
    float known = 0;  // what the state holds for the key
    for (int i = 0; i < args.key_dim; ++i) known += state[i * args.value_dim] * args.key[i];
    const float change = args.beta * (args.value[j] - args.decay * known);
    float out = 0;
    for (int i = 0; i < args.key_dim; ++i) {
      float& s = state[i * args.value_dim];
      s = args.decay * s + args.key[i] * change;
      out += s * args.query[i];
    }
    args.out[j] = out;
  }
}

// Where a page keeps dimension d of its token t.
float key(Float32, const std::byte* page, int key_dim, int t, int d) {
  float value;
  std::memcpy(&value, page + (int64_t{t / 16 * key_dim + d} * 16 + t % 16) * 4, sizeof value);
  return value;
}
float value(Float32, const std::byte* values, int value_dim, int t, int d) {
  float result;
  std::memcpy(&result, values + (t * round_up(value_dim, 16) + d) * 4, sizeof result);
  return result;
}
int64_t key_bytes(Float32, int key_dim) { return int64_t{kPageTokens} * key_dim * 4; }
float key(BFloat16, const std::byte* page, int key_dim, int t, int d) {
  const int64_t pair = t / 16 * (key_dim / 2) + d / 2;
  return from_bf16(load_u16(page + (pair * 16 + t % 16) * 4 + d % 2 * 2));
}
float value(BFloat16, const std::byte* values, int value_dim, int t, int d) {
  return from_bf16(load_u16(values + (t / 2 * round_up(value_dim, 16) + d) * 4 + t % 2 * 2));
}
int64_t key_bytes(BFloat16, int key_dim) { return int64_t{kPageTokens} * key_dim * 2; }

template <class Format>
void attend(const AttentionArgs& args, int index) {
  const float* query = args.queries[index];
  float* out = args.outputs[index];
  for (int d = 0; d < args.value_dim; ++d) out[d] = 0;
  float max = args.sinks == nullptr ? -INFINITY : args.sinks[index];
  float sum = args.sinks == nullptr ? 0 : 1;  // of exp(score - max)
  for (int t = args.starts[index]; t < args.lengths[index]; ++t) {
    const std::byte* page = args.pool + args.table[t / kPageTokens] * args.page_bytes;
    const std::byte* values = page + key_bytes(Format(), args.key_dim);
    float score = 0;
    for (int d = 0; d < args.key_dim; ++d) {
      score += query[d] * key(Format(), page, args.key_dim, t % kPageTokens, d);
    }
    score *= args.scale;
    const float new_max = score > max ? score : max;
    const float keep = std::exp(max - new_max);
    const float p = std::exp(score - new_max);
    for (int d = 0; d < args.value_dim; ++d) {
      out[d] = out[d] * keep + p * value(Format(), values, args.value_dim, t % kPageTokens, d);
    }
    sum = sum * keep + p;
    max = new_max;
  }
  for (int d = 0; d < args.value_dim; ++d) out[d] /= sum;
}

template <class Format>
void attention(const AttentionArgs& args) {
  for (int i = 0; i < args.count; ++i) attend<Format>(args, i);
}

}  // namespace

const Kernels kScalarKernels = {
    .matmul = {matmul<Float32>, matmul<Float16>, matmul<BFloat16>, matmul<Quant8>, matmul<Quant4>,
               matmul<Quant6>},
    .matmul_q = {nullptr, nullptr, nullptr, matmul_q<Quant8>, matmul_q<Quant4>, matmul_q<Quant6>},
    .tile_f32 = tile_f32,
    .tile_q = tile_q,
    .rms_norm = rms_norm,
    .rope_half = rope_half,
    .rope_interleaved = rope_interleaved,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .swiglu_oss = swiglu_oss,
    .add = add,
    .delta_rule = delta_rule,
    .attention_f32 = attention<Float32>,
    .attention_bf16 = attention<BFloat16>,
};

}  // namespace hearth::engine::kernels
