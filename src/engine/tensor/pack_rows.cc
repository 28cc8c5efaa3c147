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

// A chapter of a block.
struct Chapter {
  int64_t first;    // column of the block
  int64_t columns;  // padded
  std::byte* data;
};

template <int kLow, int kHigh>
void pack_planes(const Rows& rows, const Chapter& chapter) {
  for (int64_t group = 0; group < chapter.columns / kGroup; ++group) {
    Codes<kBlockRows> codes;
    rows.read_codes(chapter.first / kGroup + group, codes);
    pack_plane<kLow, 0>(codes, group, chapter.data);
    if constexpr (kHigh > 0) {
      pack_plane<kHigh, kLow>(codes, group,
                              chapter.data + kernels::plane_bytes(kLow, chapter.columns));
    }
  }
}

void pack_codes(const Rows& rows, const Layout& layout, const Chapter& chapter) {
  switch (layout.bits()) {
    case 2:
      return pack_planes<2, 0>(rows, chapter);
    case 3:
      return pack_planes<2, 1>(rows, chapter);
    case 4:
      return pack_planes<4, 0>(rows, chapter);
    case 5:
      return pack_planes<4, 1>(rows, chapter);
    case 6:
      return pack_planes<4, 2>(rows, chapter);
    default:
      return pack_planes<8, 0>(rows, chapter);
  }
}

// One lane's numbers of type T, one in each of the records that lie `stride` bytes apart, of which
// these are a row's records from `first` on; `repeats` records of a row get the same.
template <class T>
void pack_lane(const std::byte* from, int64_t repeats, int64_t first, int64_t records, int stride,
               std::byte* to) {
  for (int64_t r = 0; r < records; ++r) {
    std::memcpy(to + r * stride, from + (first + r) / repeats * static_cast<int64_t>(sizeof(T)),
                sizeof(T));
  }
}

void pack_group_scales(const TensorView& view, int64_t row, const PackedMatrix& matrix, int n,
                       const Chapter& chapter, std::byte* record) {
  const GroupFormat& format = matrix.groups;
  const int64_t all = kernels::group_of(format, matrix.padded_columns() - 1) + 1;
  const int64_t repeats = all == 1 ? 1 : view.groups.columns / kGroup >> format.shift;
  const int64_t first = kernels::group_of(format, chapter.first);
  const int64_t records = kernels::group_of(format, chapter.columns - 1) + 1;
  const int stride = kernels::group_record_bytes(format);
  const int width = kernels::group_float_bytes(format);
  const auto pack_floats = [&](const std::byte* from, std::byte* to) {
    const auto pack = width == 4 ? pack_lane<uint32_t> : pack_lane<uint16_t>;
    pack(from, repeats, first, records, stride, to + n * width);
  };
  const GroupScaleRow scales(view, row);
  std::byte* second = record + kBlockRows * width;
  pack_floats(scales.scales(), record);
  if (format.offset == GroupOffset::kMin) pack_floats(scales.biases(), second);
  for (int64_t r = 0; r < records && format.offset == GroupOffset::kZero; ++r) {
    second[r * stride + n] = static_cast<std::byte>(scales.zero((first + r) / repeats));
  }
}

// Blocks of 32: kCount numbers, a scale and perhaps a min, lie first in the file's block as in the
// record.
template <class T, int kCount>
void pack_scales_of_32(const Rows& rows, int count, const Chapter& chapter, int block_bytes,
                       std::byte* record) {
  const int64_t first = chapter.first / kGroup;
  for (int64_t g = first; g < first + chapter.columns / kGroup; ++g) {
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
void pack_scales_of_256(const Rows& rows, int count, Encoding encoding, const Chapter& chapter,
                        std::byte* record) {
  constexpr uint16_t kMinus = 0x8000;
  constexpr Records kSize = kernels::records(kScales);
  const int bytes = block_bytes(encoding);
  std::byte* super = record + chapter.columns / kSize.columns * kSize.bytes;
  const int64_t first = chapter.first / kSuperGroup;
  for (int64_t i = first; i < first + chapter.columns / kSuperGroup; ++i) {
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
                 const PackedMatrix& matrix, const Chapter& chapter) {
  const Encoding encoding = view.encoding;
  const int bytes = block_bytes(encoding);
  std::byte* record = chapter.data + kernels::records_at(matrix.layout(), chapter.columns);
  if (encoding == Encoding::kMXFP4Split) {
    for (int n = 0; n < count; ++n) {
      const GroupScaleRow scales(view, first + n);
      pack_lane<uint8_t>(scales.scales(), 1, chapter.first / kGroup, chapter.columns / kGroup,
                         kBlockRows, record + n);
    }
    return;
  }
  switch (matrix.layout().scales) {
    case Scales::kNone:
      return;
    case Scales::kHalf:
      return pack_scales_of_32<uint16_t, 1>(rows, count, chapter, bytes, record);
    case Scales::kHalfMin:
      return pack_scales_of_32<uint16_t, 2>(rows, count, chapter, bytes, record);
    case Scales::kE8M0:
      return pack_scales_of_32<uint8_t, 1>(rows, count, chapter, bytes, record);
    case Scales::kSmall16:
      return pack_scales_of_256<Scales::kSmall16>(rows, count, encoding, chapter, record);
    case Scales::kSmall32:
      return pack_scales_of_256<Scales::kSmall32>(rows, count, encoding, chapter, record);
    case Scales::kSmallMin32:
      return pack_scales_of_256<Scales::kSmallMin32>(rows, count, encoding, chapter, record);
    case Scales::kNibblesMin16:
      return pack_scales_of_256<Scales::kNibblesMin16>(rows, count, encoding, chapter, record);
    case Scales::kGroups:
      for (int n = 0; n < count; ++n)
        pack_group_scales(view, first + n, matrix, n, chapter, record);
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
  const int64_t columns = matrix.padded_columns();
  for (int64_t k = 0; k < columns; k += kernels::kChapterColumns) {
    const Chapter chapter{k, kernels::chapter_columns(columns, k),
                          block + kernels::chapter_at(matrix.layout(), matrix.groups, k)};
    pack_codes(rows, matrix.layout(), chapter);
    pack_scales(view, first, rows, count, matrix, chapter);
  }
}

}  // namespace hearth::engine
