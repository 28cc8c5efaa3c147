#include "engine/tensor/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"

namespace hearth::engine {
namespace {

using kernels::from_bf16;
using kernels::from_f16;
using kernels::kBlockRows;
using kernels::kGroup;
using kernels::round_up;

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// The file's Q8_0 block: half scale, 32 signed bytes. Q4_0: half scale, 16 bytes with the numbers
// j and j + 16 in the nibbles of byte j. Q6_K, 256 numbers: 128 bytes of low nibbles, 64 bytes of
// high bit pairs, 16 signed scales of 16 numbers each, and their common factor, a half.
constexpr int kQ8BlockBytes = 34;
constexpr int kQ4BlockBytes = 18;
constexpr int kQ6BlockBytes = 210;
constexpr int kQ6Elements = 256;

// Each pack_ function writes one row of the file to lane n of a block.

void pack_f32(const std::byte* row, int64_t columns, int n, std::byte* block) {
  for (int64_t k = 0; k < columns; ++k) {
    std::memcpy(block + (k * kBlockRows + n) * 4, row + k * 4, 4);
  }
}

void pack_f16(const std::byte* row, int64_t columns, int n, std::byte* block) {
  for (int64_t k = 0; k < columns; ++k) {
    std::memcpy(block + (k * kBlockRows + n) * 2, row + k * 2, 2);
  }
}

void pack_bf16(const std::byte* row, int64_t columns, int n, std::byte* block) {
  for (int64_t k = 0; k + 1 < columns; k += 2) {
    std::memcpy(block + (k / 2 * kBlockRows + n) * 4, row + k * 2, 4);
  }
  if (columns % 2 != 0) {
    const int64_t k = columns - 1;
    std::memcpy(block + (k / 2 * kBlockRows + n) * 4, row + k * 2, 2);
  }
}

void pack_q8(const std::byte* row, int64_t columns, int n, std::byte* block) {
  std::byte* scales = block + columns * kBlockRows;
  for (int64_t k = 0; k < columns; k += kGroup, row += kQ8BlockBytes) {
    std::memcpy(scales + (k / kGroup * kBlockRows + n) * 2, row, 2);
    for (int j = 0; j < kGroup; j += 4) {
      const auto quad = load<uint32_t>(row + 2 + j);
      store<uint32_t>(block + ((k + j) / 4 * kBlockRows + n) * 4, quad ^ 0x80808080u);
    }
  }
}

void pack_q4(const std::byte* row, int64_t columns, int n, std::byte* block) {
  constexpr uint32_t kLow = 0x0f0f0f0f;
  std::byte* scales = block + columns * (kBlockRows / 2);
  for (int64_t k = 0; k < columns; k += kGroup, row += kQ4BlockBytes) {
    std::memcpy(scales + (k / kGroup * kBlockRows + n) * 2, row, 2);
    for (int half = 0; half < 2; ++half) {  // bytes 8 * half .. 8 * half + 7
      const auto a = load<uint32_t>(row + 2 + 8 * half);
      const auto b = load<uint32_t>(row + 6 + 8 * half);
      std::byte* low = block + ((k / 8 + half) * kBlockRows + n) * 4;
      std::byte* high = block + ((k / 8 + 2 + half) * kBlockRows + n) * 4;
      store<uint32_t>(low, (a & kLow) | (b & kLow) << 4);
      store<uint32_t>(high, (a >> 4 & kLow) | (b & ~kLow));
    }
  }
}

// The low nibbles and the high bits of numbers k .. k + 3 of a Q6_K block, one a byte. Of each 128
// numbers, byte l of the low part holds l and l + 64, byte l + 32 holds l + 32 and l + 96; byte l
// of the high part holds all four.
struct Q6Quad {
  uint32_t low;
  uint32_t high;
};
Q6Quad load_q6_quad(const std::byte* block, int k) {
  const int half = k / 128;
  const int part = k % 128 / 32;
  const int l = k % 32;
  const auto low = load<uint32_t>(block + half * 64 + part % 2 * 32 + l);
  const auto high = load<uint32_t>(block + 128 + half * 32 + l);
  return {low >> (part / 2 * 4) & 0x0f0f0f0f, high >> (part * 2) & 0x03030303};
}

void pack_q6(const std::byte* row, int64_t columns, int n, std::byte* block) {
  std::byte* high_plane = block + columns * 8;
  std::byte* scales = block + columns * 12;
  std::byte* factors = scales + columns;
  for (int64_t k = 0; k < columns; k += kQ6Elements, row += kQ6BlockBytes) {
    for (int j = 0; j < kQ6Elements; j += 16) {
      uint32_t high = 0;
      for (int pair = 0; pair < 2; ++pair) {
        const Q6Quad a = load_q6_quad(row, j + pair * 8);
        const Q6Quad b = load_q6_quad(row, j + pair * 8 + 4);
        store<uint32_t>(block + (((k + j) / 8 + pair) * kBlockRows + n) * 4, a.low | b.low << 4);
        high |= (a.high | b.high << 2) << (pair * 4);
      }
      store<uint32_t>(high_plane + ((k + j) / 16 * kBlockRows + n) * 4, high);
      scales[(k + j) / 16 * kBlockRows + n] = row[192 + j / 16];
    }
    std::memcpy(factors + (k / kQ6Elements * kBlockRows + n) * 2, row + 208, 2);
  }
}

// One row of the file to out [columns].
void decode_row(Encoding encoding, const std::byte* row, int64_t columns, float* out) {
  switch (encoding) {
    case Encoding::kF32:
      std::memcpy(out, row, static_cast<size_t>(columns) * 4);
      return;
    case Encoding::kF16:
      for (int64_t k = 0; k < columns; ++k) out[k] = from_f16(load<uint16_t>(row + k * 2));
      return;
    case Encoding::kBF16:
      for (int64_t k = 0; k < columns; ++k) out[k] = from_bf16(load<uint16_t>(row + k * 2));
      return;
    case Encoding::kQ8_0:
      for (int64_t k = 0; k < columns; ++k) {
        const std::byte* block = row + k / kGroup * kQ8BlockBytes;
        out[k] = from_f16(load<uint16_t>(block)) * load<int8_t>(block + 2 + k % kGroup);
      }
      return;
    case Encoding::kQ4_0:
      for (int64_t k = 0; k < columns; ++k) {
        const std::byte* block = row + k / kGroup * kQ4BlockBytes;
        const int byte = load<uint8_t>(block + 2 + k % 16);
        const int q = (k % kGroup < 16 ? byte & 15 : byte >> 4) - 8;
        out[k] = from_f16(load<uint16_t>(block)) * static_cast<float>(q);
      }
      return;
    case Encoding::kQ6_K:
      for (int64_t k = 0; k < columns; ++k) {
        const std::byte* block = row + k / kQ6Elements * kQ6BlockBytes;
        const int in_block = static_cast<int>(k % kQ6Elements);
        const Q6Quad quad = load_q6_quad(block, in_block / 4 * 4);
        const int shift = in_block % 4 * 8;
        const auto q = static_cast<int>((quad.low >> shift & 15) | (quad.high >> shift & 3) << 4);
        const float scale = from_f16(load<uint16_t>(block + 208)) *
                            static_cast<float>(load<int8_t>(block + 192 + in_block / 16));
        out[k] = scale * static_cast<float>(q - 32);
      }
      return;
  }
}

// Row `row` of the view.
const std::byte* file_row(const TensorView& view, int64_t row) {
  const int64_t bytes = view.columns / block_elements(view.encoding) * block_bytes(view.encoding);
  return view.bytes.data() + view.tensor_row(row) * bytes;
}

int unpack_nibble(const std::byte* plane, int64_t k, int64_t n) {
  const int byte = load<uint8_t>(plane + (k / 8 * kBlockRows + n) * 4 + k % 4);
  return k % 8 < 4 ? byte & 15 : byte >> 4;
}

// Lane n, column k of a block.
float unpack(const PackedMatrix& matrix, const std::byte* block, int64_t k, int64_t n) {
  const int64_t columns = matrix.padded_columns();
  const auto half_at = [&](const std::byte* plane, int64_t index) {
    return from_f16(load<uint16_t>(plane + (index * kBlockRows + n) * 2));
  };
  switch (matrix.encoding) {
    case Encoding::kF32:
      return load<float>(block + (k * kBlockRows + n) * 4);
    case Encoding::kF16:
      return half_at(block, k);
    case Encoding::kBF16:
      return from_bf16(load<uint16_t>(block + (k / 2 * kBlockRows + n) * 4 + k % 2 * 2));
    case Encoding::kQ8_0: {
      const int q = load<uint8_t>(block + (k / 4 * kBlockRows + n) * 4 + k % 4) - 128;
      return half_at(block + columns * 16, k / kGroup) * static_cast<float>(q);
    }
    case Encoding::kQ4_0: {
      const int q = unpack_nibble(block, k, n) - 8;
      return half_at(block + columns * 8, k / kGroup) * static_cast<float>(q);
    }
    case Encoding::kQ6_K: {
      const std::byte* scales = block + columns * 12;
      const int byte = load<uint8_t>(block + columns * 8 + (k / 16 * kBlockRows + n) * 4 + k % 4);
      const int high = byte >> (k % 16 / 4 * 2) & 3;
      const int q = (unpack_nibble(block, k, n) | high << 4) - 32;
      const auto scale = static_cast<float>(load<int8_t>(scales + k / 16 * kBlockRows + n));
      return half_at(scales + columns, k / kQ6Elements) * scale * static_cast<float>(q);
    }
  }
  return 0;
}

}  // namespace

PackedMatrix::PackedMatrix(const TensorView& view)
    : encoding(view.encoding), rows(view.rows), columns(view.columns) {}

int64_t PackedMatrix::blocks() const { return round_up(rows, kBlockRows) / kBlockRows; }
int64_t PackedMatrix::padded_columns() const { return round_up(columns, kGroup); }

int64_t PackedMatrix::block_bytes() const {
  const int64_t k = padded_columns();
  const int64_t scales = k / kGroup * kBlockRows * 2;
  switch (encoding) {
    case Encoding::kF32:
      return k * kBlockRows * 4;
    case Encoding::kF16:
    case Encoding::kBF16:
      return k * kBlockRows * 2;
    case Encoding::kQ8_0:
      return round_up(k * kBlockRows + scales, 64);
    case Encoding::kQ4_0:
      return round_up(k * kBlockRows / 2 + scales, 64);
    case Encoding::kQ6_K:
      return round_up(k * 13 + k / kQ6Elements * kBlockRows * 2, 64);
  }
  return 0;
}

void pack_blocks(const TensorView& view, const PackedMatrix& matrix, int64_t begin, int64_t end) {
  for (int64_t b = begin; b < end; ++b) {
    std::byte* block = matrix.data + b * matrix.block_bytes();
    const int64_t rows = std::min<int64_t>(kBlockRows, matrix.rows - b * kBlockRows);
    for (int n = 0; n < rows; ++n) {
      const std::byte* row = file_row(view, b * kBlockRows + n);
      switch (view.encoding) {
        case Encoding::kF32:
          pack_f32(row, view.columns, n, block);
          break;
        case Encoding::kF16:
          pack_f16(row, view.columns, n, block);
          break;
        case Encoding::kBF16:
          pack_bf16(row, view.columns, n, block);
          break;
        case Encoding::kQ8_0:
          pack_q8(row, view.columns, n, block);
          break;
        case Encoding::kQ4_0:
          pack_q4(row, view.columns, n, block);
          break;
        case Encoding::kQ6_K:
          pack_q6(row, view.columns, n, block);
          break;
      }
    }
  }
}

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) {
  const std::byte* block = matrix.data + row / kBlockRows * matrix.block_bytes();
  const int64_t n = row % kBlockRows;
  for (int64_t k = 0; k < matrix.columns; ++k) out[k] = unpack(matrix, block, k, n);
}

void decode_tensor(const TensorView& view, float* out) {
  for (int64_t row = 0; row < view.rows; ++row) {
    decode_row(view.encoding, file_row(view, row), view.columns, out + row * view.columns);
  }
}

}  // namespace hearth::engine
