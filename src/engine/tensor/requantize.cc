#include "engine/tensor/requantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/formats/encoding.h"
#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"
#include "engine/tensor/decode.h"

namespace hearth::engine {
namespace {

using kernels::from_f16;
using kernels::kBlockRows;
using kernels::kGroup;
using kernels::kIQ4Values;
using kernels::to_f16;

constexpr double kSavingMin = 0.5;  // bits per weight that make a second rounding worth it

constexpr int kQ8BlockBytes = 34;
constexpr int kIq4BlockBytes = 18;
constexpr int kLevelMax = 127;

double stored_bits_per_weight(const TensorView& view) {
  const double weights = static_cast<double>(view.rows) * static_cast<double>(view.columns);
  return 8 * static_cast<double>(stored_bytes(view)) / weights;
}

// The number of the level nearest to each whole number from -127 to 127.
constexpr std::array<uint8_t, 2 * kLevelMax + 1> nearest_levels() {
  std::array<uint8_t, 2 * kLevelMax + 1> nearest{};
  for (int value = -kLevelMax; value <= kLevelMax; ++value) {
    const auto distance = [&](int level) {
      const int difference = value - kIQ4Values[level];
      return difference < 0 ? -difference : difference;
    };
    int best = 0;
    for (int level = 1; level < 16; ++level) {
      if (distance(level) < distance(best)) best = level;
    }
    nearest[value + kLevelMax] = static_cast<uint8_t>(best);
  }
  return nearest;
}
constexpr auto kNearestLevel = nearest_levels();

// The nearest whole number from -127 to 127, ties to even; -127 for NaN. Added to 1.5 * 2^23, a
// small float has its whole part in the lowest bits: no call, unlike lrintf().
int rounded(float x) {
  constexpr float kShift = 12582912;
  const float bounded = x > -kLevelMax ? std::min<float>(x, kLevelMax) : -kLevelMax;
  return static_cast<int>(kernels::bits_of(bounded + kShift) - kernels::bits_of(kShift));
}

int nearest_level(float x) { return kNearestLevel[rounded(x) + kLevelMax]; }

// The number of the greatest magnitude, with its sign.
float extreme(const float* numbers) {
  float most = 0;
  for (int i = 0; i < kGroup; ++i) {
    if (std::fabs(numbers[i]) > std::fabs(most)) most = numbers[i];
  }
  return most;
}

// Its magnitude, for eight numbers at a time.
float greatest_magnitude(const float* numbers) {
  constexpr int kLanes = 8;
  float most[kLanes] = {};
  for (int i = 0; i < kGroup; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float magnitude = std::fabs(numbers[i + lane]);
      most[lane] = magnitude > most[lane] ? magnitude : most[lane];
    }
  }
  return *std::max_element(most, most + kLanes);
}

float inverse(float x) { return x != 0 ? 1 / x : 0; }

void store_half(std::byte* at, uint16_t half) { std::memcpy(at, &half, sizeof half); }

// The scale with which 32 numbers come nearest to the levels. The extreme number goes to either end
// of the levels or near it; each choice gives the levels of all 32, and those the scale of the
// least squared error.
float iq4_scale(const float* numbers) {
  constexpr std::array<float, 6> kEnds = {-140, -127, -115, 104, 113, 125};
  const float most = extreme(numbers);
  float best = 0;
  float best_gain = 0;  // by how much the squared error is less than with a scale of zero
  for (const float end : kEnds) {
    const float to_levels = end * inverse(most);
    float product = 0;
    float square = 0;
    for (int i = 0; i < kGroup; ++i) {
      const auto level = static_cast<float>(kIQ4Values[nearest_level(numbers[i] * to_levels)]);
      product += level * numbers[i];
      square += level * level;
    }
    const float gain = product * product / square;  // a level is never 0
    if (gain > best_gain) {
      best_gain = gain;
      best = product / square;
    }
  }
  return best;
}

void encode(Encoding encoding, const float* numbers, int64_t count, std::byte* out) {
  if (encoding == Encoding::kQ8_0) {
    encode_q8_0(numbers, count, out);
  } else {
    encode_iq4_nl(numbers, count, out);
  }
}

}  // namespace

Encoding packed_encoding(const TensorView& view, Quantize quantize) {
  if (quantize == Quantize::kNone || view.columns % kGroup != 0) return view.encoding;
  const Encoding target = quantize == Quantize::kQ8 ? Encoding::kQ8_0 : Encoding::kIQ4_NL;
  const double target_bits = 8.0 * block_bytes(target) / block_elements(target);
  return stored_bits_per_weight(view) >= target_bits + kSavingMin ? target : view.encoding;
}

void requantize_blocks(const TensorView& view, const PackedMatrix& matrix, int64_t begin,
                       int64_t end) {
  const int64_t row_bytes =
      view.columns / block_elements(matrix.encoding) * block_bytes(matrix.encoding);
  std::vector<float> numbers(view.columns);
  std::vector<std::byte> encoded(kBlockRows * row_bytes);
  for (int64_t b = begin; b < end; ++b) {
    const int64_t first = b * kBlockRows;
    const int64_t rows = std::min<int64_t>(kBlockRows, matrix.rows - first);
    for (int64_t n = 0; n < rows; ++n) {
      decode_tensor(view.select(first + n, 1), numbers.data());
      encode(matrix.encoding, numbers.data(), view.columns, encoded.data() + n * row_bytes);
    }
    PackedMatrix block = matrix;
    block.rows = rows;
    block.data += b * matrix.block_bytes();
    pack_blocks(
        {.encoding = matrix.encoding, .rows = rows, .columns = view.columns, .bytes = encoded},
        block, 0, 1);
  }
}

void encode_q8_0(const float* numbers, int64_t count, std::byte* out) {
  for (int64_t i = 0; i < count; i += kGroup, numbers += kGroup, out += kQ8BlockBytes) {
    const uint16_t half = to_f16(greatest_magnitude(numbers) / kLevelMax);
    store_half(out, half);
    const float to_steps = inverse(from_f16(half));
    for (int j = 0; j < kGroup; ++j) {
      out[2 + j] = static_cast<std::byte>(static_cast<int8_t>(rounded(numbers[j] * to_steps)));
    }
  }
}

void encode_iq4_nl(const float* numbers, int64_t count, std::byte* out) {
  constexpr int kHalf = kGroup / 2;
  for (int64_t i = 0; i < count; i += kGroup, numbers += kGroup, out += kIq4BlockBytes) {
    const uint16_t half = to_f16(iq4_scale(numbers));
    store_half(out, half);
    const float to_levels = inverse(from_f16(half));
    for (int j = 0; j < kHalf; ++j) {
      const int low = nearest_level(numbers[j] * to_levels);
      const int high = nearest_level(numbers[j + kHalf] * to_levels);
      out[2 + j] = static_cast<std::byte>(low | high << 4);
    }
  }
}

}  // namespace hearth::engine
