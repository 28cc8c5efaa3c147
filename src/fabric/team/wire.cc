#include "fabric/team/wire.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace hearth::fabric {
namespace {

// What is summed at a time: it stays in the nearest cache.
constexpr size_t kStride = 512;
using Stride = std::array<float, kStride>;
static_assert(kStride % kWireBlock == 0);

// To the nearest, ties to even; not-a-number stays one.
struct Bf16 {
  static constexpr size_t kBlockBytes = kWireBlock * sizeof(uint16_t);
  static void encode(const float* from, std::byte* to) {
    std::array<uint16_t, kWireBlock> codes;
    for (size_t i = 0; i < kWireBlock; ++i) {
      const uint32_t bits = std::bit_cast<uint32_t>(from[i]);
      const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
      codes[i] = static_cast<uint16_t>(from[i] == from[i] ? rounded : bits >> 16 | 0x40);
    }
    std::memcpy(to, codes.data(), kBlockBytes);
  }
  static void decode(const std::byte* from, float* to) {
    std::array<uint16_t, kWireBlock> codes;
    std::memcpy(codes.data(), from, kBlockBytes);
    for (size_t i = 0; i < kWireBlock; ++i) {
      to[i] = std::bit_cast<float>(static_cast<uint32_t>(codes[i]) << 16);
    }
  }
};

// A float scale and a byte a number. What no finite scale fits makes the whole block not-a-number:
// a broken sum must not look like a sound one.
struct Q8 {
  static constexpr size_t kBlockBytes = sizeof(float) + kWireBlock;
  static void encode(const float* from, std::byte* to) {
    float largest = 0, nothing = 0;
    for (size_t i = 0; i < kWireBlock; ++i) {
      largest = std::max(largest, std::fabs(from[i]));
      nothing += from[i] * 0;  // or not a number
    }
    const float scale = largest / 127 + nothing, inverse = 127 / largest;
    std::array<int8_t, kWireBlock> codes{};
    if (std::isfinite(scale) && std::isfinite(inverse)) {
      for (size_t i = 0; i < kWireBlock; ++i) {
        const float code = from[i] * inverse;
        codes[i] = static_cast<int8_t>(code + std::copysign(0.5F, code));
      }
    }
    std::memcpy(to, &scale, sizeof scale);
    std::memcpy(to + sizeof scale, codes.data(), kWireBlock);
  }
  static void decode(const std::byte* from, float* to) {
    float scale;
    std::array<int8_t, kWireBlock> codes;
    std::memcpy(&scale, from, sizeof scale);
    std::memcpy(codes.data(), from + sizeof scale, kWireBlock);
    for (size_t i = 0; i < kWireBlock; ++i) to[i] = static_cast<float>(codes[i]) * scale;
  }
};

size_t blocks_of(size_t count) { return (count + kWireBlock - 1) / kWireBlock; }

// The last block is filled up with zeros, which do not travel.
template <class Format>
void encode_as(std::span<const float> numbers, std::byte* to) {
  for (; numbers.size() >= kWireBlock; numbers = numbers.subspan(kWireBlock)) {
    Format::encode(numbers.data(), to);
    to += Format::kBlockBytes;
  }
  if (numbers.empty()) return;
  std::array<float, kWireBlock> last{};
  std::copy(numbers.begin(), numbers.end(), last.begin());
  Format::encode(last.data(), to);
}

// Numbers [at, at + count) of a part.
template <class Format>
void decode_as(const std::byte* part, size_t at, size_t count, Stride* to) {
  part += at / kWireBlock * Format::kBlockBytes;
  for (size_t block = 0; block < blocks_of(count); ++block) {
    Format::decode(part + block * Format::kBlockBytes, to->data() + block * kWireBlock);
  }
}

// `sum` becomes out's numbers from `at` on, or is added to them.
template <bool kOnto>
void put(const float* sum, size_t count, float* out) {
  if constexpr (kOnto) {
    for (size_t i = 0; i < count; ++i) out[i] += sum[i];
  } else {
    std::memcpy(out, sum, count * sizeof(float));
  }
}

template <class Format, bool kOnto>
void sum_as(std::span<const std::byte* const> parts, std::span<float> out) {
  Stride sum, part;
  for (size_t at = 0; at < out.size(); at += kStride) {
    const size_t count = std::min(kStride, out.size() - at);
    decode_as<Format>(parts[0], at, count, &sum);
    for (size_t rank = 1; rank < parts.size(); ++rank) {
      decode_as<Format>(parts[rank], at, count, &part);
      for (size_t i = 0; i < count; ++i) sum[i] += part[i];
    }
    put<kOnto>(sum.data(), count, out.data() + at);
  }
}

// Another rank's numbers lie in its cache, and are fetched ahead of their turn.
void fetch(const float* numbers) {
  for (size_t i = 0; i < kStride; i += 64 / sizeof(float)) __builtin_prefetch(numbers + i);
}

template <bool kOnto>
void sum_floats(std::span<const std::byte* const> parts, std::span<float> out) {
  Stride room;
  for (size_t at = 0; at < out.size(); at += kStride) {
    const size_t count = std::min(kStride, out.size() - at);
    const auto part = [&](size_t rank) {
      const float* numbers = reinterpret_cast<const float*>(parts[rank]) + at;
      fetch(numbers + kStride);
      return numbers;
    };
    // With more parts than two, `out` may be one that is still to be read.
    float* const sum = parts.size() == 2 ? out.data() + at : room.data();
    const float *first = part(0), *second = part(1);
    const bool done = parts.size() == 2;
#pragma GCC ivdep
    for (size_t i = 0; i < count; ++i) {
      const float both = first[i] + second[i];
      sum[i] = kOnto && done ? sum[i] + both : both;
    }
    if (done) continue;
    for (size_t rank = 2; rank < parts.size(); ++rank) {
      const float* next = part(rank);
      for (size_t i = 0; i < count; ++i) room[i] += next[i];
    }
    put<kOnto>(room.data(), count, out.data() + at);
  }
}

template <bool kOnto>
void sum_in(WirePrecision precision, std::span<const std::byte* const> parts,
            std::span<float> out) {
  switch (precision) {
    case WirePrecision::kBf16:
      return sum_as<Bf16, kOnto>(parts, out);
    case WirePrecision::kQ8:
      return sum_as<Q8, kOnto>(parts, out);
    default:
      return sum_floats<kOnto>(parts, out);
  }
}

}  // namespace

void add(std::span<const float> numbers, std::span<float> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += numbers[i];
}

size_t Wire::bytes(size_t count) const {
  switch (precision_) {
    case WirePrecision::kBf16:
      return count * sizeof(uint16_t);
    case WirePrecision::kQ8:
      return count + blocks_of(count) * sizeof(float);
    default:
      return count * sizeof(float);
  }
}

const std::byte* Wire::encode(std::span<const float> numbers, std::byte* room) const {
  switch (precision_) {
    case WirePrecision::kBf16:
      encode_as<Bf16>(numbers, room);
      return room;
    case WirePrecision::kQ8:
      encode_as<Q8>(numbers, room);
      return room;
    default:
      return reinterpret_cast<const std::byte*>(numbers.data());
  }
}

void Wire::sum(std::span<const std::byte* const> parts, std::span<float> out) const {
  sum_in</*kOnto=*/false>(precision_, parts, out);
}

void Wire::sum_onto(std::span<const std::byte* const> parts, std::span<float> to) const {
  sum_in</*kOnto=*/true>(precision_, parts, to);
}

}  // namespace hearth::fabric
