#include "engine/tensor/pack_rows.h"

#include <algorithm>
#include <cstring>

#include "engine/tensor/file_blocks.h"

namespace hearth::engine {
namespace {

using kernels::GroupFormat;
using kernels::GroupOffset;
using kernels::kBlockRows;
using kernels::kGroup;
using kernels::kSuperGroup;
using kernels::Layout;
using kernels::Records;
using kernels::Scales;

template <class T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// `width` bytes a number, one number or (BF16) two a lane.
void pack_floats(const std::byte* row, int64_t columns, int width, int n, std::byte* block) {
  for (int64_t k = 0; k < columns; ++k) {
    std::memcpy(block + (k * kBlockRows + n) * width, row + k * width, width);
  }
}

void pack_bf16(const std::byte* row, int64_t columns, int n, std::byte* block) {
  for (int64_t k = 0; k < columns; k += 2) {
    const int64_t count = std::min<int64_t>(2, columns - k);
    std::memcpy(block + (k / 2 * kBlockRows + n) * 4, row + k * 2, count * 2);
  }
}

// Bits kFrom and up of the codes of one group, four codes a dword, to a plane of kBits bits.
template <int kBits, int kFrom>
void pack_plane(const uint32_t (&quads)[8], int64_t group, int n, std::byte* plane) {
  constexpr int kPerVector = 8 / kBits;
  constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;
  for (int v = 0; v < kBits; ++v) {
    uint32_t dword = 0;
    for (int t = 0; t < kPerVector; ++t) {
      dword |= (quads[v * kPerVector + t] >> kFrom & kMask) << (kBits * t);
    }
    store(plane + ((group * kBits + v) * kBlockRows + n) * 4, dword);
  }
}

template <int kLow, int kHigh>
void pack_planes(const TensorView& view, int64_t row, int64_t columns, int n, std::byte* block) {
  for (int64_t group = 0; group < columns / kGroup; ++group) {
    uint8_t codes[kGroup];
    uint32_t quads[8];
    read_codes(view, row, group, codes);
    std::memcpy(quads, codes, sizeof quads);
    pack_plane<kLow, 0>(quads, group, n, block);
    if constexpr (kHigh > 0) {
      pack_plane<kHigh, kLow>(quads, group, n, block + kernels::plane_bytes(kLow, columns));
    }
  }
}

void pack_codes(const TensorView& view, int64_t row, const Layout& layout, int64_t columns, int n,
                std::byte* block) {
  switch (layout.bits()) {
    case 2:
      return pack_planes<2, 0>(view, row, columns, n, block);
    case 3:
      return pack_planes<2, 1>(view, row, columns, n, block);
    case 4:
      return pack_planes<4, 0>(view, row, columns, n, block);
    case 5:
      return pack_planes<4, 1>(view, row, columns, n, block);
    case 6:
      return pack_planes<4, 2>(view, row, columns, n, block);
    default:
      return pack_planes<8, 0>(view, row, columns, n, block);
  }
}

void pack_group_scales(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                       std::byte* block) {
  const GroupFormat& format = matrix.groups;
  const int64_t columns = matrix.padded_columns();
  const int width = kernels::group_float_bytes(format);
  const GroupScaleRow scales(view, row);
  std::byte* record = block + kernels::records_at(matrix.layout(), columns);
  for (int64_t g = 0; g <= kernels::group_of(format, columns - 1); ++g) {
    const GroupScale scale = scales.at(g == 0 ? 0 : g * kGroup << format.shift);
    std::memcpy(record + n * width, &scale.scale, width);
    std::byte* second = record + kBlockRows * width;
    if (format.offset == GroupOffset::kMin) std::memcpy(second + n * width, &scale.bias, width);
    if (format.offset == GroupOffset::kZero) second[n] = static_cast<std::byte>(scale.zero);
    record += kernels::group_record_bytes(format);
  }
}

void pack_split_e8m0(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                     std::byte* block) {
  std::byte* record = block + kernels::records_at(matrix.layout(), matrix.padded_columns());
  const GroupScaleRow scales(view, row);
  for (int64_t k = 0; k < matrix.columns; k += kGroup, record += kBlockRows) {
    record[n] = static_cast<std::byte>(scales.at(k).scale);
  }
}

// Blocks of 32: their scale, and a min if there is one, lie first in the file's block as in the
// record. `bytes` each.
void pack_scales_of_32(const TensorView& view, int64_t row, const PackedMatrix& matrix, int bytes,
                       int n, std::byte* block) {
  const int64_t columns = matrix.padded_columns();
  const Records size = kernels::records(matrix.layout().scales);
  const std::byte* from = file_row(view, row);
  std::byte* record = block + kernels::records_at(matrix.layout(), columns);
  for (int64_t k = 0; k < columns; k += kGroup) {
    for (int part = 0; part * kBlockRows * bytes < size.bytes; ++part) {
      std::memcpy(record + (part * kBlockRows + n) * bytes, from + part * bytes, bytes);
    }
    from += block_bytes(view.encoding);
    record += size.bytes;
  }
}

// Blocks of 256, with small scales.
void pack_scales_of_256(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                        std::byte* block) {
  constexpr uint16_t kMinus = 0x8000;
  const Layout& layout = matrix.layout();
  const int64_t columns = matrix.padded_columns();
  const Records size = kernels::records(layout.scales);
  const std::byte* from = file_row(view, row);
  std::byte* record = block + kernels::records_at(layout, columns);
  std::byte* super = block + kernels::super_records_at(layout, columns);
  for (int64_t k = 0; k < columns; k += kSuperGroup) {
    const BlockScales scales = read_block_scales(view.encoding, from);
    for (int i = 0; i < kSuperGroup / size.columns; ++i, record += size.bytes) {
      const auto small = static_cast<std::byte>(scales.small_scales[i]);
      const auto small_min = static_cast<std::byte>(scales.small_mins[i]);
      record[n] = layout.scales == Scales::kNibblesMin16 ? small | small_min << 4 : small;
      if (layout.scales == Scales::kSmallMin32) record[kBlockRows + n] = small_min;
    }
    store(super + n * 2, scales.scale);
    if (size.super_bytes > 2 * kBlockRows) {
      store(super + (kBlockRows + n) * 2, static_cast<uint16_t>(scales.min ^ kMinus));
    }
    from += block_bytes(view.encoding);
    super += size.super_bytes;
  }
}

void pack_scales(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                 std::byte* block) {
  if (view.encoding == Encoding::kMXFP4Split) return pack_split_e8m0(view, row, matrix, n, block);
  switch (matrix.layout().scales) {
    case Scales::kGroups:
      return pack_group_scales(view, row, matrix, n, block);
    case Scales::kHalf:
    case Scales::kHalfMin:
      return pack_scales_of_32(view, row, matrix, 2, n, block);
    case Scales::kE8M0:
      return pack_scales_of_32(view, row, matrix, 1, n, block);
    default:
      return pack_scales_of_256(view, row, matrix, n, block);
  }
}

}  // namespace

void pack_row(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
              std::byte* block) {
  switch (view.encoding) {
    case Encoding::kF32:
      return pack_floats(file_row(view, row), view.columns, 4, n, block);
    case Encoding::kF16:
      return pack_floats(file_row(view, row), view.columns, 2, n, block);
    case Encoding::kBF16:
      return pack_bf16(file_row(view, row), view.columns, n, block);
    default:
      break;
  }
  pack_codes(view, row, matrix.layout(), matrix.padded_columns(), n, block);
  pack_scales(view, row, matrix, n, block);
}

}  // namespace hearth::engine
