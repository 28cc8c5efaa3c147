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

using Rows = FileRows<kBlockRows>;

// A dword of the file, F32 or two of BF16, is one of the block.
void pack_dwords(const Rows& rows, int64_t row_bytes, std::byte* block) {
  Codes<kBlockRows> dwords;
  for (int64_t at = 0; at < row_bytes; at += Rows::kReadBytes) {
    rows.read_bytes(at, dwords);
    for (const auto& lanes : dwords) {
      std::memcpy(block, lanes, sizeof lanes);
      block += sizeof lanes;
    }
  }
}

// F16.
void pack_halves(const Rows& rows, int64_t row_bytes, std::byte* block) {
  Codes<kBlockRows> pairs;
  for (int64_t at = 0; at < row_bytes; at += Rows::kReadBytes) {
    rows.read_bytes(at, pairs);
    for (const auto& lanes : pairs) {
      uint16_t halves[2][kBlockRows];
      for (int n = 0; n < kBlockRows; ++n) {
        halves[0][n] = static_cast<uint16_t>(lanes[n]);
        halves[1][n] = static_cast<uint16_t>(lanes[n] >> 16);
      }
      std::memcpy(block, halves, sizeof halves);
      block += sizeof halves;
    }
  }
}

// Bits kFrom and up of the codes of one group, to a plane of kBits bits.
template <int kBits, int kFrom>
void pack_plane(const Codes<kBlockRows>& codes, int64_t group, std::byte* plane) {
  constexpr int kPerVector = 8 / kBits;
  constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;
  for (int v = 0; v < kBits; ++v) {
    uint32_t vector[kBlockRows];
    for (int n = 0; n < kBlockRows; ++n) {
      vector[n] = 0;
      for (int t = 0; t < kPerVector; ++t) {
        vector[n] |= (codes[v * kPerVector + t][n] >> kFrom & kMask) << (kBits * t);
      }
    }
    std::memcpy(plane + (group * kBits + v) * sizeof vector, vector, sizeof vector);
  }
}

template <int kLow, int kHigh>
void pack_planes(const Rows& rows, int64_t columns, std::byte* block) {
  for (int64_t group = 0; group < columns / kGroup; ++group) {
    Codes<kBlockRows> codes;
    rows.read_codes(group, codes);
    pack_plane<kLow, 0>(codes, group, block);
    if constexpr (kHigh > 0) {
      pack_plane<kHigh, kLow>(codes, group, block + kernels::plane_bytes(kLow, columns));
    }
  }
}

void pack_codes(const Rows& rows, const Layout& layout, int64_t columns, std::byte* block) {
  switch (layout.bits()) {
    case 2:
      return pack_planes<2, 0>(rows, columns, block);
    case 3:
      return pack_planes<2, 1>(rows, columns, block);
    case 4:
      return pack_planes<4, 0>(rows, columns, block);
    case 5:
      return pack_planes<4, 1>(rows, columns, block);
    case 6:
      return pack_planes<4, 2>(rows, columns, block);
    default:
      return pack_planes<8, 0>(rows, columns, block);
  }
}

// One lane's numbers of type T, one in each of the records that lie `stride` bytes apart; `repeats`
// records get the same.
template <class T>
void pack_lane(const std::byte* from, int repeats, int records, int stride, std::byte* to) {
  for (int r = 0; r < records; ++r) {
    std::memcpy(to + r * stride, from + r / repeats * sizeof(T), sizeof(T));
  }
}

void pack_group_scales(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                       std::byte* record) {
  const GroupFormat& format = matrix.groups;
  const auto records = static_cast<int>(kernels::group_of(format, matrix.padded_columns() - 1)) + 1;
  const auto repeats =
      records == 1 ? 1 : static_cast<int>(view.groups.columns / kGroup >> format.shift);
  const int stride = kernels::group_record_bytes(format);
  const int width = kernels::group_float_bytes(format);
  const auto pack_floats = [&](const std::byte* from, std::byte* to) {
    const auto pack = width == 4 ? pack_lane<uint32_t> : pack_lane<uint16_t>;
    pack(from, repeats, records, stride, to + n * width);
  };
  const GroupScaleRow scales(view, row);
  std::byte* second = record + kBlockRows * width;
  pack_floats(scales.scales(), record);
  if (format.offset == GroupOffset::kMin) pack_floats(scales.biases(), second);
  for (int r = 0; r < records && format.offset == GroupOffset::kZero; ++r) {
    second[r * stride + n] = static_cast<std::byte>(scales.zero(r / repeats));
  }
}

// Blocks of 32: kCount numbers, a scale and perhaps a min, lie first in the file's block as in the
// record.
template <class T, int kCount>
void pack_scales_of_32(const Rows& rows, int count, int64_t groups, int block_bytes,
                       std::byte* record) {
  for (int64_t g = 0; g < groups; ++g) {
    for (int i = 0; i < kCount; ++i) {
      for (int n = 0; n < count; ++n) {
        std::memcpy(record + n * sizeof(T), rows.row(n) + g * block_bytes + i * sizeof(T),
                    sizeof(T));
      }
      record += kBlockRows * sizeof(T);
    }
  }
}

// Blocks of 256, with small scales.
template <Scales kScales>
void pack_scales_of_256(const Rows& rows, int count, Encoding encoding, int64_t columns,
                        std::byte* record) {
  constexpr uint16_t kMinus = 0x8000;
  constexpr Records kSize = kernels::records(kScales);
  const int bytes = block_bytes(encoding);
  std::byte* super = record + columns / kSize.columns * kSize.bytes;
  for (int64_t i = 0; i < columns / kSuperGroup; ++i) {
    for (int n = 0; n < count; ++n) {
      const BlockScales scales = read_block_scales(encoding, rows.row(n) + i * bytes);
      std::byte* at = record + n;
      for (int j = 0; j < kSuperGroup / kSize.columns; ++j, at += kSize.bytes) {
        const auto small = static_cast<std::byte>(scales.small_scales[j]);
        const auto small_min = static_cast<std::byte>(scales.small_mins[j]);
        *at = kScales == Scales::kNibblesMin16 ? small | small_min << 4 : small;
        if (kScales == Scales::kSmallMin32) at[kBlockRows] = small_min;
      }
      store(super + n * 2, scales.scale);
      if (kSize.super_bytes > 2 * kBlockRows) {
        store(super + (kBlockRows + n) * 2, static_cast<uint16_t>(scales.min ^ kMinus));
      }
    }
    record += kSuperGroup / kSize.columns * kSize.bytes;
    super += kSize.super_bytes;
  }
}

void pack_scales(const TensorView& view, int64_t first, const Rows& rows, int count,
                 const PackedMatrix& matrix, std::byte* block) {
  const Encoding encoding = view.encoding;
  const int64_t columns = matrix.padded_columns();
  const int64_t groups = columns / kGroup;
  const int bytes = block_bytes(encoding);
  std::byte* record = block + kernels::records_at(matrix.layout(), columns);
  if (encoding == Encoding::kMXFP4Split) {
    for (int n = 0; n < count; ++n) {
      const GroupScaleRow scales(view, first + n);
      pack_lane<uint8_t>(scales.scales(), 1, static_cast<int>(groups), kBlockRows, record + n);
    }
    return;
  }
  switch (matrix.layout().scales) {
    case Scales::kNone:
      return;
    case Scales::kHalf:
      return pack_scales_of_32<uint16_t, 1>(rows, count, groups, bytes, record);
    case Scales::kHalfMin:
      return pack_scales_of_32<uint16_t, 2>(rows, count, groups, bytes, record);
    case Scales::kE8M0:
      return pack_scales_of_32<uint8_t, 1>(rows, count, groups, bytes, record);
    case Scales::kSmall16:
      return pack_scales_of_256<Scales::kSmall16>(rows, count, encoding, columns, record);
    case Scales::kSmall32:
      return pack_scales_of_256<Scales::kSmall32>(rows, count, encoding, columns, record);
    case Scales::kSmallMin32:
      return pack_scales_of_256<Scales::kSmallMin32>(rows, count, encoding, columns, record);
    case Scales::kNibblesMin16:
      return pack_scales_of_256<Scales::kNibblesMin16>(rows, count, encoding, columns, record);
    case Scales::kGroups:
      for (int n = 0; n < count; ++n) pack_group_scales(view, first + n, matrix, n, record);
  }
}

}  // namespace

void pack_rows(const TensorView& view, int64_t first, int count, const PackedMatrix& matrix,
               std::byte* block) {
  const Rows rows(view, first, count);
  switch (view.encoding) {
    case Encoding::kF32:
      return pack_dwords(rows, view.columns * 4, block);
    case Encoding::kBF16:
      return pack_dwords(rows, view.columns * 2, block);
    case Encoding::kF16:
      return pack_halves(rows, view.columns * 2, block);
    default:
      break;
  }
  pack_codes(rows, matrix.layout(), matrix.padded_columns(), block);
  pack_scales(view, first, rows, count, matrix, block);
}

}  // namespace hearth::engine
