// Packed weights read one at a time, portably: what the layouts of layout.h mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"

namespace hearth::engine::kernels {

// What a code stands for, before scale and offset; not for plain floats.
static inline float value_of_code(Values values, uint8_t code) {
  switch (values) {
    case Values::kFloat8:
      return from_e4m3(code);
    case Values::kIQ4:
      return kIQ4Values[code];
    case Values::kE2M1:
      return kE2M1Values[code];
    default:
      return code;
  }
}

// A weight is scale * (value - offset) + min.
struct Scaling {
  float scale = 1;
  int offset = 0;
  float min = 0;
  float apply(float value) const { return scale * (value - static_cast<float>(offset)) + min; }
};

static inline uint16_t load_u16(const std::byte* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

static inline float load_group_float(GroupFloat type, const std::byte* at) {
  float value;
  switch (type) {
    case GroupFloat::kF16:
      return from_f16(load_u16(at));
    case GroupFloat::kBF16:
      return from_bf16(load_u16(at));
    default:
      std::memcpy(&value, at, sizeof value);
      return value;
  }
}

// Lane n, column k of a block of plain floats.
static inline float float_at(Values values, const std::byte* block, int64_t k, int64_t n) {
  float value;
  switch (values) {
    case Values::kFloat16:
      return from_f16(load_u16(block + (k * kBlockRows + n) * 2));
    case Values::kBFloat16:
      return from_bf16(load_u16(block + (k / 2 * kBlockRows + n) * 4 + k % 2 * 2));
    default:
      std::memcpy(&value, block + (k * kBlockRows + n) * 4, sizeof value);
      return value;
  }
}

static inline int plane_at(const std::byte* plane, int bits, int64_t k, int64_t n) {
  const int per_vector = 32 / bits;
  const auto byte = static_cast<int>(plane[(k / per_vector * kBlockRows + n) * 4 + k % 4]);
  return byte >> (k % per_vector / 4 * bits) & ((1 << bits) - 1);
}

// The chapter of a block that holds column k, and which of its columns that is.
struct Place {
  const std::byte* chapter;
  int64_t columns;
  int64_t k;
};
static inline Place place_of(const Layout& layout, const GroupFormat& format,
                             const std::byte* block, int64_t columns, int64_t k) {
  return {block + chapter_at(layout, format, k), chapter_columns(columns, k), k % kChapterColumns};
}

// Lane n of a column of codes.
static inline uint8_t code_at(const Layout& layout, const Place& place, int64_t n) {
  const auto& [chapter, columns, k] = place;
  int code = plane_at(chapter, layout.low_bits, k, n);
  if (layout.high_bits > 0) {
    const std::byte* high = chapter + plane_bytes(layout.low_bits, columns);
    code |= plane_at(high, layout.high_bits, k, n) << layout.low_bits;
  }
  return static_cast<uint8_t>(code);
}

static inline Scaling group_scaling_at(const Layout& layout, const GroupFormat& format,
                                       const Place& place, int64_t n) {
  const auto& [chapter, columns, k] = place;
  const std::byte* record =
      chapter + records_at(layout, columns) + group_of(format, k) * group_record_bytes(format);
  const int width = group_float_bytes(format);
  const float scale = load_group_float(format.type, record + n * width);
  const std::byte* second = record + kBlockRows * width;
  switch (format.offset) {
    case GroupOffset::kCentre:
      return {scale, 1 << (layout.bits() - 1), 0};
    case GroupOffset::kMin:
      return {scale, 0, load_group_float(format.type, second + n * width)};
    case GroupOffset::kZero:
      return {scale, static_cast<int>(second[n]), 0};
    default:
      return {scale, 0, 0};
  }
}

// What scales lane n of the 16 columns that this one is among.
static inline Scaling scaling_at(const Layout& layout, const GroupFormat& format,
                                 const Place& place, int64_t n) {
  if (layout.scales == Scales::kGroups) return group_scaling_at(layout, format, place, n);
  const auto& [chapter, columns, k] = place;
  const Records size = records(layout.scales);
  const std::byte* record = chapter + records_at(layout, columns) + k / size.columns * size.bytes;
  const std::byte* super =
      chapter + super_records_at(layout, columns) + k / kSuperGroup * size.super_bytes;
  const auto half = [&](const std::byte* at) { return from_f16(load_u16(at + n * 2)); };
  const auto byte = [&](const std::byte* at) { return static_cast<int>(at[n]); };
  const auto small = [&](int scale) { return half(super) * static_cast<float>(scale); };
  const auto small_min = [&](int min) { return half(super + 32) * static_cast<float>(min); };
  switch (layout.scales) {
    case Scales::kHalf:
      return {half(record), layout.offset, 0};
    case Scales::kHalfMin:
      return {half(record), layout.offset, half(record + 32)};
    case Scales::kSmall16:
    case Scales::kSmall32:
      return {small(static_cast<int8_t>(byte(record))), layout.offset, 0};
    case Scales::kSmallMin32:
      return {small(byte(record)), layout.offset, small_min(byte(record + 16))};
    case Scales::kNibblesMin16:
      return {small(byte(record) & 15), layout.offset, small_min(byte(record) >> 4)};
    case Scales::kE8M0:
      return {from_e8m0_half(static_cast<uint8_t>(byte(record))), layout.offset, 0};
    default:
      return {};
  }
}

}  // namespace hearth::engine::kernels
