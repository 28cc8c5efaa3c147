// The reference of products with packed weights: plain loops that say what every other instruction
// set computes.
#include <utility>

#include "engine/kernels/packed.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {
namespace {

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

// A template over the encoding, so that the layout is known where it is used.
template <int kEncoding>
void matmul(const MatmulArgs& args) {
  constexpr Layout kLayout = kLayouts[kEncoding];
  for_each_output(args, [&](int64_t first_row, int m, int i, const std::byte* block, int n) {
    const float* x = args.x + first_row * args.columns;
    float sum = 0;
    for (int64_t k = 0; k < args.columns; k += kHalfGroup) {
      float part = 0;
      if constexpr (kLayout.values < Values::kFloat8) {
        for (int64_t j = k; j < k + kHalfGroup; ++j) {
          part += float_at(kLayout.values, block, j, n) * x[j * m + i];
        }
      } else {
        const auto place = [&](int64_t column) {
          return place_of(kLayout, args.groups, block, args.columns, column);
        };
        const Scaling scaling = scaling_at(kLayout, args.groups, place(k), n);
        for (int64_t j = k; j < k + kHalfGroup; ++j) {
          const uint8_t code = code_at(kLayout, place(j), n);
          part += scaling.apply(value_of_code(kLayout.values, code)) * x[j * m + i];
        }
      }
      sum += part;
    }
    return sum;
  });
}

// The scalar form of four quantised activations is four 16-bit integers in order.
int activation(const std::byte* tile, int m, int64_t k, int i) {
  return static_cast<int16_t>(load_u16(tile + (k / 4 * m + i) * kQuadBytes + k % 4 * 2));
}

template <int kEncoding>
void matmul_q(const MatmulArgs& args) {
  constexpr Layout kLayout = kLayouts[kEncoding];
  for_each_output(args, [&](int64_t first_row, int m, int i, const std::byte* block, int n) {
    const std::byte* x = args.xq + first_row * args.columns / 4 * kQuadBytes;
    const float* x_scales = args.xq_scales + first_row * (args.columns / kGroup);
    const int32_t* x_sums = args.xq_sums + first_row * (args.columns / kHalfGroup);
    float sum = 0;
    for (int64_t k = 0; k < args.columns; k += kHalfGroup) {
      const auto place = [&](int64_t column) {
        return place_of(kLayout, args.groups, block, args.columns, column);
      };
      const Scaling scaling = scaling_at(kLayout, args.groups, place(k), n);
      const int32_t x_sum = x_sums[k / kHalfGroup * m + i];
      int32_t part = -scaling.offset * x_sum;
      for (int64_t j = k; j < k + kHalfGroup; ++j) {
        const uint8_t code = code_at(kLayout, place(j), n);
        part += static_cast<int>(value_of_code(kLayout.values, code)) * activation(x, m, j, i);
      }
      const float weighted =
          scaling.scale * static_cast<float>(part) + scaling.min * static_cast<float>(x_sum);
      sum += weighted * x_scales[k / kGroup * m + i];
    }
    return sum;
  });
}

template <int kEncoding>
void matmul_transposed(const TransposedArgs& args) {
  constexpr Layout kLayout = kLayouts[kEncoding];
  const int64_t padded = round_up(args.outputs, kGroup);
  const auto weight = [&](int64_t i, int64_t k) {
    const std::byte* block = args.weights + i / kBlockRows * args.block_bytes;
    const int64_t n = i % kBlockRows;
    if constexpr (kLayout.values < Values::kFloat8) {
      return float_at(kLayout.values, block, k, n);
    } else {
      const Place place = place_of(kLayout, args.groups, block, padded, k);
      const uint8_t code = code_at(kLayout, place, n);
      return scaling_at(kLayout, args.groups, place, n).apply(value_of_code(kLayout.values, code));
    }
  };
  for (int64_t k = 0; k < args.outputs; ++k) {
    for (int64_t i = 0; i < args.inputs; ++i) args.panel[i] = weight(i, k);
    for (int r = 0; r < args.rows; ++r) {
      float sum = 0;
      for (int64_t i = 0; i < args.inputs; ++i)
        sum += args.panel[i] * args.x[r * args.x_stride + i];
      args.out[r * args.out_stride + k] = sum;
    }
  }
}

template <int... kEncoding>
constexpr MatmulKernels float_kernels(std::integer_sequence<int, kEncoding...>) {
  return {{matmul<kEncoding>...}};
}

template <int kEncoding>
constexpr Matmul quant_matmul() {
  return kLayouts[kEncoding].values > Values::kFloat8 ? matmul_q<kEncoding> : nullptr;
}
template <int... kEncoding>
constexpr MatmulKernels quant_kernels(std::integer_sequence<int, kEncoding...>) {
  return {{quant_matmul<kEncoding>()...}};
}

template <int... kEncoding>
constexpr TransposedKernels transposed_kernels(std::integer_sequence<int, kEncoding...>) {
  return {{matmul_transposed<kEncoding>...}};
}

using AllEncodings = std::make_integer_sequence<int, kEncodings>;

}  // namespace

constinit const MatmulKernels kScalarFloatKernels = float_kernels(AllEncodings());
constinit const MatmulKernels kScalarQuantKernels = quant_kernels(AllEncodings());
constinit const TransposedKernels kScalarTransposedKernels = transposed_kernels(AllEncodings());

}  // namespace hearth::engine::kernels
