// Conversions between float and narrower formats, portable and exact.
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

// Round to nearest, ties to even; too large becomes infinite, NaN stays NaN. What would be a
// subnormal is added to 1/2, whose last bit is the subnormals' unit.
static inline uint16_t to_f16(float value) {
  const uint32_t bits = bits_of(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // from 65520 on
  if (magnitude < 0x38800000) {                       // 2^-14
    return sign | static_cast<uint16_t>(bits_of(float_of(magnitude) + 0.5f) - 0x3f000000);
  }
  return sign |
         static_cast<uint16_t>((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

// FP8 E4M3 (OCP 8-bit floating point, 1.0): no infinities, NaN where all but the sign are ones. The
// exponent is moved to float's place, then scaled by an exact multiplication, which also makes
// subnormals right.
static inline float from_e4m3(uint8_t byte) {
  const uint32_t sign = static_cast<uint32_t>(byte & 0x80) << 24;
  const uint32_t magnitude = byte & 0x7f;
  if (magnitude == 0x7f) return float_of(sign | 0x7fc00000);
  const float value = float_of(magnitude << 20) * float_of(0x7b800000);  // 2^120
  return float_of(sign | bits_of(value));
}

// Half of the power of two that an E8M0 byte means (OCP microscaling formats, 1.0): 2^(byte - 128).
// 255 is NaN.
static inline float from_e8m0_half(uint8_t byte) {
  if (byte == 255) return float_of(0x7fc00000);
  return byte < 2 ? float_of(0x00200000u << byte) : float_of((byte - 1u) << 23);
}

}  // namespace hearth::engine::kernels
