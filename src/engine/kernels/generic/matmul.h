// Products with packed weights, over the sixteen lanes of an instruction set's simd.h, which is
// included first. Lanes are output columns, so no sum ever crosses lanes and every output is added
// up in ascending order of groups, whatever the shape of the loop around it.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Rows that share a weight block while it is in the first-level cache.
constexpr int kChunkRows = 64;
// Bytes ahead of the weights in use: the distance that hides the memory's latency at full rate.
constexpr int kPrefetchBytes = 2048;

// How floats come out of each encoding: load() gives kStep consecutive columns.
struct WeightsF32 {
  static constexpr int kStep = 2;
  static constexpr int kColumnBytes = 64;  // of 16 rows
  static constexpr bool kScaled = false;
  HEARTH_SIMD void load(const std::byte* at, F32x16 (&w)[kStep]) {
    w[0] = kernels::HEARTH_ISA_NAMESPACE::load(reinterpret_cast<const float*>(at));
    w[1] = kernels::HEARTH_ISA_NAMESPACE::load(reinterpret_cast<const float*>(at + 64));
  }
};
struct WeightsF16 {
  static constexpr int kStep = 2;
  static constexpr int kColumnBytes = 32;
  static constexpr bool kScaled = false;
  HEARTH_SIMD void load(const std::byte* at, F32x16 (&w)[kStep]) {
    w[0] = load_f16(at);
    w[1] = load_f16(at + 32);
  }
};
struct WeightsBF16 {
  static constexpr int kStep = 2;
  static constexpr int kColumnBytes = 32;
  static constexpr bool kScaled = false;
  HEARTH_SIMD void load(const std::byte* at, F32x16 (&w)[kStep]) {
    load_bf16_pairs(at, w[0], w[1]);
  }
};
struct WeightsQ8 {
  static constexpr int kStep = 4;
  static constexpr int kColumnBytes = 16;
  static constexpr bool kScaled = true;
  HEARTH_SIMD void load(const std::byte* at, F32x16 (&w)[kStep]) {
    const I32x16 quads = load_int(at);
    w[0] = sub(to_float(field<0, 255>(quads)), set1(128));
    w[1] = sub(to_float(field<8, 255>(quads)), set1(128));
    w[2] = sub(to_float(field<16, 255>(quads)), set1(128));
    w[3] = sub(to_float(field<24, 255>(quads)), set1(128));
  }
};
struct WeightsQ4 {
  static constexpr int kStep = 8;
  static constexpr int kColumnBytes = 8;
  static constexpr bool kScaled = true;
  HEARTH_SIMD void load(const std::byte* at, F32x16 (&w)[kStep]) {
    const I32x16 octets = load_int(at);
    w[0] = sub(to_float(field<0, 15>(octets)), set1(8));
    w[1] = sub(to_float(field<8, 15>(octets)), set1(8));
    w[2] = sub(to_float(field<16, 15>(octets)), set1(8));
    w[3] = sub(to_float(field<24, 15>(octets)), set1(8));
    w[4] = sub(to_float(field<4, 15>(octets)), set1(8));
    w[5] = sub(to_float(field<12, 15>(octets)), set1(8));
    w[6] = sub(to_float(field<20, 15>(octets)), set1(8));
    w[7] = sub(to_float(field<28, 15>(octets)), set1(8));
  }
};

// Adds the products of the columns [begin, end) to two partial sums a row, of even and of odd
// columns: two chains, because one would wait for itself.
template <class Format, int kRows>
HEARTH_SIMD void add_products(const std::byte* block, int64_t begin, int64_t end, const float* x,
                              int64_t x_stride, F32x16 (&even)[kRows], F32x16 (&odd)[kRows]) {
  for (int64_t k = begin; k < end; k += Format::kStep) {
    F32x16 w[Format::kStep];
    Format::load(block + k * Format::kColumnBytes, w);
    prefetch(block + k * Format::kColumnBytes + kPrefetchBytes);
    for (int s = 0; s < Format::kStep; s += 2) {
      const float* at = x + (k + s) * x_stride;
      for (int i = 0; i < kRows; ++i) even[i] = fma(w[s], set1(at[i]), even[i]);
      for (int i = 0; i < kRows; ++i) odd[i] = fma(w[s + 1], set1(at[x_stride + i]), odd[i]);
    }
  }
}

// One block times kRows rows of a tile of `x_stride` rows.
template <class Format, int kRows>
void block_product(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                   int64_t x_stride, F32x16* sums) {
  const float* x = args.x + tile * kTileRows * args.columns + row;
  F32x16 total[kRows];
  F32x16 even[kRows];
  F32x16 odd[kRows];
  for (int i = 0; i < kRows; ++i) total[i] = even[i] = odd[i] = zero();
  if constexpr (Format::kScaled) {
    const std::byte* scales = block + args.columns * Format::kColumnBytes;
    for (int64_t k = 0; k < args.columns; k += kGroup, scales += 2 * kBlockRows) {
      for (int i = 0; i < kRows; ++i) even[i] = odd[i] = zero();
      add_products<Format, kRows>(block, k, k + kGroup, x, x_stride, even, odd);
      const F32x16 scale = load_f16(scales);
      for (int i = 0; i < kRows; ++i) total[i] = fma(add(even[i], odd[i]), scale, total[i]);
    }
  } else {
    add_products<Format, kRows>(block, 0, args.columns, x, x_stride, even, odd);
    for (int i = 0; i < kRows; ++i) total[i] = add(even[i], odd[i]);
  }
  for (int i = 0; i < kRows; ++i) sums[i] = total[i];
}

// How unsigned weight bytes come out of each quantised encoding: step() adds the products of the
// next kQuads times four columns.
struct BytesQ8 : Dot<128> {
  static constexpr int kQuads = 1;  // in one vector
  template <int kRows>
  HEARTH_SIMD void add_vector(const std::byte* at, const int8_t* x, int64_t x_stride,
                              Dot<128>::Sum (&sums)[kRows]) {
    const Weights w = unsigned_bytes(load_int(at));
    for (int i = 0; i < kRows; ++i) sums[i] = step(sums[i], w, x + i * 4);
    (void)x_stride;
  }
};
struct BytesQ4 : Dot<8> {
  static constexpr int kQuads = 2;
  template <int kRows>
  HEARTH_SIMD void add_vector(const std::byte* at, const int8_t* x, int64_t x_stride,
                              Dot<8>::Sum (&sums)[kRows]) {
    const I32x16 bytes = load_int(at);
    const Weights low = low_nibbles(bytes);
    for (int i = 0; i < kRows; ++i) sums[i] = step(sums[i], low, x + i * 4);
    const Weights high = high_nibbles(bytes);
    for (int i = 0; i < kRows; ++i) sums[i] = step(sums[i], high, x + (x_stride + i) * 4);
  }
};

template <class Format, int kRows>
void block_product_q8(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                      int64_t x_stride, F32x16* sums) {
  constexpr int kVectors = kGroup / 4 / Format::kQuads;  // of a group
  const int64_t groups = args.columns / kGroup;
  const int8_t* x = args.x8 + tile * kTileRows * args.columns + row * 4;
  const float* x_scales = args.x8_scales + tile * kTileRows * groups + row;
  const int32_t* x_sums = args.x8_sums + tile * kTileRows * groups + row;
  const std::byte* scales = block + groups * (kVectors * 64);
  F32x16 total[kRows];
  for (int i = 0; i < kRows; ++i) total[i] = zero();
  for (int64_t g = 0; g < groups; ++g) {
    typename Format::Sum part[kRows];
    for (int i = 0; i < kRows; ++i) part[i] = Format::start(x_sums[i]);
    for (int v = 0; v < kVectors; ++v) {
      prefetch(block + v * 64 + kPrefetchBytes);
      Format::template add_vector<kRows>(block + v * 64, x + v * Format::kQuads * x_stride * 4,
                                         x_stride, part);
    }
    const F32x16 scale = load_f16(scales);
    for (int i = 0; i < kRows; ++i) {
      const F32x16 both = mul(scale, set1(x_scales[i]));
      total[i] = fma(to_float(Format::finish(part[i], x_sums[i])), both, total[i]);
    }
    block += kVectors * 64;
    scales += 2 * kBlockRows;
    x += kGroup * x_stride;
    x_scales += x_stride;
    x_sums += x_stride;
  }
  for (int i = 0; i < kRows; ++i) sums[i] = total[i];
}

using BlockProduct = void (*)(const MatmulArgs& args, const std::byte* block, int64_t tile, int row,
                              int64_t x_stride, F32x16* sums);

// Blocks times rows. Rows go in chunks, so that a block is read from memory once a chunk and the
// chunk's activations stay in the cache. `products[n - 1]` multiplies n rows, n <= rows_max.
HEARTH_SIMD void matmul_blocks(const MatmulArgs& args, const BlockProduct* products, int rows_max) {
  for (int chunk = 0; chunk < args.rows; chunk += kChunkRows) {
    const int chunk_end = chunk + kChunkRows < args.rows ? chunk + kChunkRows : args.rows;
    for (int64_t b = args.block_begin; b < args.block_end; ++b) {
      const std::byte* block = args.weights + b * args.block_bytes;
      const int64_t lanes = args.out_columns - b * kBlockRows;
      for (int first = chunk; first < chunk_end; first += kTileRows) {
        const int m = args.rows - first < kTileRows ? args.rows - first : kTileRows;
        for (int row = 0; row < m; row += rows_max) {
          const int n = m - row < rows_max ? m - row : rows_max;
          F32x16 sums[kTileRows];
          products[n - 1](args, block, first / kTileRows, row, m, sums);
          float* out = args.out + (first + row) * args.out_stride + b * kBlockRows;
          for (int i = 0; i < n; ++i, out += args.out_stride) {
            store_first(out, args.add ? add(load_first(out, lanes), sums[i]) : sums[i], lanes);
          }
        }
      }
    }
  }
}

template <class Format>
void matmul(const MatmulArgs& args) {
  static const BlockProduct kProducts[] = {
    block_product<Format, 1>,
    block_product<Format, 2>,
    block_product<Format, 3>,
#if HEARTH_TALL_TILES
    block_product<Format, 4>,
    block_product<Format, 5>,
    block_product<Format, 6>,
    block_product<Format, 7>,
    block_product<Format, 8>,
#endif
  };
  matmul_blocks(args, kProducts, kFloatRows);
}

template <class Format>
void matmul_q8(const MatmulArgs& args) {
  static const BlockProduct kProducts[] = {
    block_product_q8<Format, 1>,
    block_product_q8<Format, 2>,
#if HEARTH_TALL_TILES
    block_product_q8<Format, 3>,
    block_product_q8<Format, 4>,
    block_product_q8<Format, 5>,
    block_product_q8<Format, 6>,
    block_product_q8<Format, 7>,
    block_product_q8<Format, 8>,
#endif
  };
  matmul_blocks(args, kProducts, kInt8Rows);
}

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
