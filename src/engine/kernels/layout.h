// N16K4, the packed weight layout that every kernel of every instruction set reads.
//
// A matrix [rows, columns] is cut into blocks of 16 rows; a block holds its rows' numbers for
// ascending k (the column), so that a thread streams through its blocks in one ascending sweep.
// Rows and columns are padded with zeros to multiples of 16 and 32 (K is the padded number of
// columns). One "vector" is 64 bytes.
//
// Floats:
//   F32    one k a vector: lane n is row n
//   F16    one k a half vector: lane n is row n
//   BF16   two k a vector: dword n holds row n's k in its low half and k + 1 in its high half
//
// Everything else is chapters of 512 columns (the last has those that are left), one after the
// other, so that what is used together lies together and memory is read in the order of addresses.
// A chapter is codes of 2 to 8 bits, then scales. Codes lie in one or two planes, of their low and
// of their remaining high bits, each 1, 2, 4 or 8 bits wide:
//   plane of b bits, 32/b columns a vector: bits b * t and up of byte j of dword n belong to row
//   n's k + 4t + j, for j = 0 .. 3 and t = 0 .. 8/b - 1
// So a vector, shifted and masked, is always four columns of sixteen rows, a dword a row: the
// operand of integer dot products (and of a tile of a matrix unit), whatever the encoding.
//
// The codes are integers, numbers of a codebook, or FP8 (`Values`). What they are multiplied with
// and what is added follows the planes (`Scales`): a record for each group of columns, holding one
// number a row, sixteen side by side.
#pragma once

#include <cstdint>

namespace hearth::engine::kernels {

// Internal linkage throughout: this header is compiled for several instruction sets, and a copy
// made for one must never be linked into another's callers.
constexpr int kBlockRows = 16;
constexpr int kGroup = 32;  // columns that share a scale of activations; columns are padded to it
constexpr int kHalfGroup = 16;
constexpr int kSuperGroup = 256;
constexpr int kChapterColumns = 512;  // the fewest that fill whole lines of every encoding
constexpr int kChapterGroups = kChapterColumns / kGroup;
constexpr int kTileRows = 8;    // rows of activations that share one pass over a weight block
constexpr int kEncodings = 24;  // of engine::Encoding, whose order indexes the kernel tables

// Quantised activations are integers up to this: 15 bits with the sign, which two signed bytes hold
// as high * 128 + low. Eight bits would do for most models; with 15 the weights' own rounding is
// all that separates default from exact precision, and where memory is the limit they cost nothing.
constexpr int kQuantMax = 127 * 128;

enum class Values : uint8_t { kFloat32, kFloat16, kBFloat16, kFloat8, kInteger, kIQ4, kE2M1 };

// A number is scale * (value - offset) + min. Per record, [16] unless said otherwise:
enum class Scales : uint8_t {
  kNone,
  kHalf,          // 32 columns: f16 scale
  kHalfMin,       // 32 columns: f16 scale, f16 min
  kSmall16,       // 16 columns: i8 small scale; then 256 columns: f16 factor of the scales
  kSmall32,       // the same with a small scale for 32 columns
  kSmallMin32,    // 32 columns: u8 small scale, u8 small min; then 256 columns: f16 factor of the
                  // scales, f16 factor of the mins, which are subtracted
  kNibblesMin16,  // 16 columns: u8 small scale (low nibble) and min (high nibble); then as above
  kE8M0,          // 32 columns: u8, the scale is 2^(u8 - 127)
  kGroups,        // 32 << shift columns: as GroupFormat says
};

struct Layout {
  Values values = Values::kInteger;
  Scales scales = Scales::kNone;
  uint8_t low_bits = 0;
  uint8_t high_bits = 0;
  uint8_t offset = 0;
  constexpr int bits() const { return low_bits + high_bits; }
};

// In the order of engine::Encoding.
constexpr Layout kLayouts[kEncodings] = {
    {Values::kFloat32},
    {Values::kFloat16},
    {Values::kBFloat16},
    {Values::kInteger, Scales::kHalf, 4, 0, 8},          // Q4_0
    {Values::kInteger, Scales::kHalfMin, 4, 0, 0},       // Q4_1
    {Values::kInteger, Scales::kHalf, 4, 1, 16},         // Q5_0
    {Values::kInteger, Scales::kHalfMin, 4, 1, 0},       // Q5_1
    {Values::kInteger, Scales::kHalf, 8, 0, 128},        // Q8_0
    {Values::kInteger, Scales::kNibblesMin16, 2, 0, 0},  // Q2_K
    {Values::kInteger, Scales::kSmall16, 2, 1, 4},       // Q3_K
    {Values::kInteger, Scales::kSmallMin32, 4, 0, 0},    // Q4_K
    {Values::kInteger, Scales::kSmallMin32, 4, 1, 0},    // Q5_K
    {Values::kInteger, Scales::kSmall16, 4, 2, 32},      // Q6_K
    {Values::kIQ4, Scales::kHalf, 4, 0, 0},              // IQ4_NL
    {Values::kIQ4, Scales::kSmall32, 4, 0, 0},           // IQ4_XS
    {Values::kE2M1, Scales::kE8M0, 4, 0, 0},             // MXFP4
    {Values::kFloat8, Scales::kGroups, 8, 0, 0},         // F8_E4M3
    {Values::kInteger, Scales::kGroups, 2, 0, 0},        // INT2
    {Values::kInteger, Scales::kGroups, 2, 1, 0},        // INT3
    {Values::kInteger, Scales::kGroups, 4, 0, 0},        // INT4
    {Values::kInteger, Scales::kGroups, 4, 1, 0},        // INT5
    {Values::kInteger, Scales::kGroups, 4, 2, 0},        // INT6
    {Values::kInteger, Scales::kGroups, 8, 0, 0},        // INT8
    {Values::kE2M1, Scales::kE8M0, 4, 0, 0},             // MXFP4, split
};

// Codebooks. IQ4: ggml's kvalues_iq4nl. E2M1: twice the numbers of the OCP format of 4 bits.
constexpr int8_t kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
constexpr int8_t kE2M1Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// What a matrix with Scales::kGroups holds for each group.
enum class GroupFloat : uint8_t { kF32, kF16, kBF16 };
enum class GroupOffset : uint8_t {
  kCentre,  // scale; the offset is the middle of the codes, 2^(bits - 1)
  kMin,     // scale, then min, both of the same type
  kZero,    // scale, then u8 offset
  kNone,    // scale (FP8)
};
struct GroupFormat {
  int shift = 0;  // a group has 32 << shift columns; kWholeRow: one group for all
  GroupFloat type = GroupFloat::kF32;
  GroupOffset offset = GroupOffset::kNone;
};
constexpr int kWholeRow = 40;

static constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// In what follows up to chapter_bytes(), `columns` are a chapter's, padded, and `column` counts
// from its first.

// Bytes of a plane of so many bits.
static constexpr int64_t plane_bytes(int bits, int64_t columns) {
  return columns * bits * (kBlockRows / 8);
}

// The records of `Scales`: `bytes` for each `columns` columns, then `super_bytes` for each 256.
struct Records {
  int columns;
  int bytes;
  int super_bytes;
};
static constexpr Records records(Scales scales) {
  switch (scales) {
    case Scales::kHalf:
      return {kGroup, 32, 0};
    case Scales::kHalfMin:
      return {kGroup, 64, 0};
    case Scales::kSmall16:
      return {kHalfGroup, 16, 32};
    case Scales::kSmall32:
      return {kGroup, 16, 32};
    case Scales::kSmallMin32:
      return {kGroup, 32, 64};
    case Scales::kNibblesMin16:
      return {kHalfGroup, 16, 64};
    case Scales::kE8M0:
      return {kGroup, 16, 0};
    default:
      return {kGroup, 0, 0};
  }
}
// Where a chapter's records begin, and those of 256 columns.
static constexpr int64_t records_at(const Layout& layout, int64_t columns) {
  return plane_bytes(layout.bits(), columns);
}
static constexpr int64_t super_records_at(const Layout& layout, int64_t columns) {
  const Records r = records(layout.scales);
  return records_at(layout, columns) + columns / r.columns * r.bytes;
}

// The same for Scales::kGroups: which record belongs to a column, and a record's size.
static constexpr int64_t group_of(const GroupFormat& format, int64_t column) {
  return column / kGroup >> format.shift;
}
static constexpr int group_float_bytes(const GroupFormat& format) {
  return format.type == GroupFloat::kF32 ? 4 : 2;
}
static constexpr int group_record_bytes(const GroupFormat& format) {
  const int floats = format.offset == GroupOffset::kMin ? 2 : 1;
  const int zeros = format.offset == GroupOffset::kZero ? 1 : 0;
  return (floats * group_float_bytes(format) + zeros) * kBlockRows;
}

// Bytes of a chapter, a multiple of 64.
static constexpr int64_t chapter_bytes(const Layout& layout, const GroupFormat& format,
                                       int64_t columns) {
  const int64_t bytes = layout.scales == Scales::kGroups
                            ? records_at(layout, columns) +
                                  (group_of(format, columns - 1) + 1) * group_record_bytes(format)
                            : super_records_at(layout, columns) +
                                  columns / kSuperGroup * records(layout.scales).super_bytes;
  return round_up(bytes, 64);
}

// A chapter of a block whose padded columns are `block_columns`: the one with column `k`.
static constexpr int64_t chapter_at(const Layout& layout, const GroupFormat& format, int64_t k) {
  return k / kChapterColumns * chapter_bytes(layout, format, kChapterColumns);
}
static constexpr int64_t chapter_columns(int64_t block_columns, int64_t k) {
  const int64_t left = block_columns - k / kChapterColumns * kChapterColumns;
  return left < kChapterColumns ? left : kChapterColumns;
}

// Bytes of a block, a multiple of 64. `columns`: padded.
static constexpr int64_t packed_block_bytes(const Layout& layout, const GroupFormat& format,
                                            int64_t columns) {
  if (layout.values == Values::kFloat32) return columns * kBlockRows * 4;
  if (layout.values < Values::kFloat8) return columns * kBlockRows * 2;
  const int64_t last = columns % kChapterColumns;
  return chapter_at(layout, format, columns) + (last > 0 ? chapter_bytes(layout, format, last) : 0);
}

}  // namespace hearth::engine::kernels
