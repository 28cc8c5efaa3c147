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

// Bits `from` and up of the codes of one group, four codes a dword, to a plane.
void pack_plane(const uint32_t (&quads)[8], int bits, int from, int64_t group, int n,
                std::byte* plane) {
  const int per_vector = 8 / bits;
  const uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
  for (int v = 0; v < bits; ++v) {
    uint32_t dword = 0;
    for (int t = 0; t < per_vector; ++t) {
      dword |= (quads[v * per_vector + t] >> from & mask) << (bits * t);
    }
    store(plane + ((group * bits + v) * kBlockRows + n) * 4, dword);
  }
}

void pack_codes(const TensorView& view, int64_t row, const Layout& layout, int64_t columns, int n,
                std::byte* block) {
  std::byte* high_plane = block + kernels::plane_bytes(layout.low_bits, columns);
  for (int64_t group = 0; group < columns / kGroup; ++group) {
    uint8_t codes[kGroup];
    uint32_t quads[8];
    read_codes(view, row, group, codes);
    std::memcpy(quads, codes, sizeof quads);
    pack_plane(quads, layout.low_bits, 0, group, n, block);
    if (layout.high_bits > 0) {
      pack_plane(quads, layout.high_bits, layout.low_bits, group, n, high_plane);
    }
  }
}

void pack_group_scales(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                       std::byte* block) {
  const GroupFormat& format = matrix.groups;
  const int64_t columns = matrix.padded_columns();
  const int width = kernels::group_float_bytes(format);
  std::byte* record = block + kernels::records_at(matrix.layout(), columns);
  for (int64_t g = 0; g <= kernels::group_of(format, columns - 1); ++g) {
    const GroupScale scale = read_group_scale(view, row, g == 0 ? 0 : g * kGroup << format.shift);
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
  for (int64_t k = 0; k < matrix.columns; k += kGroup, record += kBlockRows) {
    record[n] = static_cast<std::byte>(read_group_scale(view, row, k).scale);
  }
}

// The records of one block of the file, `parts` of them, and of its 256 columns.
void pack_block_scales(Scales kind, const BlockScales& scales, int parts, int n, std::byte* record,
                       std::byte* super) {
  constexpr uint16_t kMinus = 0x8000;
  const Records size = kernels::records(kind);
  for (int i = 0; i < parts; ++i, record += size.bytes) {
    const auto small = static_cast<std::byte>(scales.small_scales[i]);
    const auto small_min = static_cast<std::byte>(scales.small_mins[i]);
    switch (kind) {
      case Scales::kHalfMin:
        store(record + 32 + n * 2, scales.min);
        [[fallthrough]];
      case Scales::kHalf:
        store(record + n * 2, scales.scale);
        break;
      case Scales::kE8M0:
        record[n] = static_cast<std::byte>(scales.scale);
        break;
      case Scales::kSmallMin32:
        record[16 + n] = small_min;
        [[fallthrough]];
      case Scales::kSmall16:
      case Scales::kSmall32:
        record[n] = small;
        break;
      case Scales::kNibblesMin16:
        record[n] = small | small_min << 4;
        break;
      default:
        break;
    }
  }
  if (size.super_bytes >= 32) store(super + n * 2, scales.scale);
  if (size.super_bytes >= 64) {
    store(super + 32 + n * 2, static_cast<uint16_t>(scales.min ^ kMinus));
  }
}

void pack_scales(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                 std::byte* block) {
  const Layout& layout = matrix.layout();
  const int64_t columns = matrix.padded_columns();
  const Records size = kernels::records(layout.scales);
  const int elements = block_elements(view.encoding);
  const int parts = elements / size.columns;
  const std::byte* from = file_row(view, row);
  std::byte* record = block + kernels::records_at(layout, columns);
  std::byte* super = block + kernels::super_records_at(layout, columns);
  for (int64_t k = 0; k < columns; k += elements) {
    pack_block_scales(layout.scales, read_block_scales(view.encoding, from), parts, n, record,
                      super);
    from += block_bytes(view.encoding);
    record += parts * size.bytes;
    super += elements / kSuperGroup * size.super_bytes;
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
  if (view.encoding == Encoding::kMXFP4Split) return pack_split_e8m0(view, row, matrix, n, block);
  if (has_group_scales(view.encoding)) return pack_group_scales(view, row, matrix, n, block);
  pack_scales(view, row, matrix, n, block);
}

}  // namespace hearth::engine
