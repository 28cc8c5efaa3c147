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
// j and j + 16 in the nibbles of byte j.
constexpr int kQ8BlockBytes = 34;
constexpr int kQ4BlockBytes = 18;

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
  }
}

int64_t file_row_bytes(const TensorView& view) {
  return view.columns / block_elements(view.encoding) * block_bytes(view.encoding);
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
  }
  return 0;
}

void pack_blocks(const TensorView& view, const PackedMatrix& matrix, int64_t begin, int64_t end) {
  const int64_t row_bytes = file_row_bytes(view);
  for (int64_t b = begin; b < end; ++b) {
    std::byte* block = matrix.data + b * matrix.block_bytes();
    const int64_t rows = std::min<int64_t>(kBlockRows, matrix.rows - b * kBlockRows);
    for (int n = 0; n < rows; ++n) {
      const std::byte* row = view.bytes.data() + (b * kBlockRows + n) * row_bytes;
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
      }
    }
  }
}

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) {
  const std::byte* block = matrix.data + row / kBlockRows * matrix.block_bytes();
  const int64_t n = row % kBlockRows;
  const int64_t padded = matrix.padded_columns();
  for (int64_t k = 0; k < matrix.columns; ++k) {
    switch (matrix.encoding) {
      case Encoding::kF32:
        out[k] = load<float>(block + (k * kBlockRows + n) * 4);
        break;
      case Encoding::kF16:
        out[k] = from_f16(load<uint16_t>(block + (k * kBlockRows + n) * 2));
        break;
      case Encoding::kBF16:
        out[k] = from_bf16(load<uint16_t>(block + (k / 2 * kBlockRows + n) * 4 + k % 2 * 2));
        break;
      case Encoding::kQ8_0: {
        const std::byte* scale = block + padded * 16 + (k / kGroup * kBlockRows + n) * 2;
        const int q = load<uint8_t>(block + (k / 4 * kBlockRows + n) * 4 + k % 4) - 128;
        out[k] = from_f16(load<uint16_t>(scale)) * static_cast<float>(q);
        break;
      }
      case Encoding::kQ4_0: {
        const std::byte* scale = block + padded * 8 + (k / kGroup * kBlockRows + n) * 2;
        const int byte = load<uint8_t>(block + (k / 8 * kBlockRows + n) * 4 + k % 4);
        const int q = (k % 8 < 4 ? byte & 15 : byte >> 4) - 8;
        out[k] = from_f16(load<uint16_t>(scale)) * static_cast<float>(q);
        break;
      }
    }
  }
}

void decode_tensor(const TensorView& view, float* out) {
  for (int64_t row = 0; row < view.rows; ++row) {
    decode_row(view.encoding, view.bytes.data() + row * file_row_bytes(view), view.columns,
               out + row * view.columns);
  }
}

}  // namespace hearth::engine
