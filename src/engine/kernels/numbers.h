// Conversions between float and the 16-bit formats, portable and exact.
#pragma once

#include <cstdint>
#include <cstring>

namespace hearth::engine::kernels {

static inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float from_bf16(uint16_t half) { return float_of(static_cast<uint32_t>(half) << 16); }

// Round to nearest, ties to even; NaN stays NaN.
static inline uint16_t to_bf16(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// IEEE half precision. Subnormals are scaled by a float multiplication, which is exact.
static inline float from_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return float_of(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  const float value = float_of(magnitude << 13) * float_of(0x77800000);  // 2^112
  return float_of(sign | bits_of(value));
}

}  // namespace hearth::engine::kernels
