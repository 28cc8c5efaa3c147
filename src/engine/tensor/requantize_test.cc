#include "engine/tensor/requantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/decode.h"

namespace hearth::engine {
namespace {

std::span<const std::byte> bytes_of(const std::vector<float>& numbers) {
  return std::as_bytes(std::span(numbers));
}

std::vector<float> weights(int64_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

TensorView view_of(const std::vector<float>& numbers, int64_t rows) {
  return {.rows = rows,
          .columns = static_cast<int64_t>(numbers.size()) / rows,
          .bytes = bytes_of(numbers)};
}

// The root of the mean squared error, relative to the numbers'.
double error_of(const std::vector<float>& numbers, Encoding encoding) {
  std::vector<std::byte> encoded(numbers.size() / 32 * block_bytes(encoding));
  if (encoding == Encoding::kQ8_0) {
    encode_q8_0(numbers.data(), static_cast<int64_t>(numbers.size()), encoded.data());
  } else {
    encode_iq4_nl(numbers.data(), static_cast<int64_t>(numbers.size()), encoded.data());
  }
  std::vector<float> decoded(numbers.size());
  decode_tensor({.encoding = encoding,
                 .rows = 1,
                 .columns = static_cast<int64_t>(numbers.size()),
                 .bytes = encoded},
                decoded.data());
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    error += std::pow(decoded[i] - numbers[i], 2);
    power += std::pow(numbers[i], 2);
  }
  return std::sqrt(error / power);
}

TEST(Requantize, ErrorsAreThoseOfGoodEncoders) {
  const std::vector<float> numbers = weights(1 << 16);
  EXPECT_LT(error_of(numbers, Encoding::kQ8_0), 0.006);
  EXPECT_LT(error_of(numbers, Encoding::kIQ4_NL), 0.076);  // without a search: 0.078
}

TEST(Requantize, NumbersOnTheLevelsAreKept) {
  for (const float scale : {1.0f, -0.0078125f, 3.0517578125e-05f}) {
    std::vector<float> numbers(32);
    for (int i = 0; i < 32; ++i) numbers[i] = scale * kernels::kIQ4Values[i % 16];
    EXPECT_EQ(error_of(numbers, Encoding::kIQ4_NL), 0) << scale;
    for (int i = 0; i < 32; ++i) numbers[i] = scale * static_cast<float>(127 - i * 8);
    EXPECT_EQ(error_of(numbers, Encoding::kQ8_0), 0) << scale;
  }
}

TEST(Requantize, OddNumbersStayHarmless) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float odd : {0.0f, 1e-40f, 1e30f, infinity, -infinity, std::nanf("")}) {
    std::vector<float> numbers(64);
    numbers[3] = odd;
    std::vector<std::byte> encoded(2 * 34);
    encode_iq4_nl(numbers.data(), 64, encoded.data());
    encode_q8_0(numbers.data(), 64, encoded.data());
    std::vector<float> decoded(64, 1.0f);
    decode_tensor({.encoding = Encoding::kQ8_0, .rows = 1, .columns = 64, .bytes = encoded},
                  decoded.data());
    for (int i = 32; i < 64; ++i) EXPECT_EQ(decoded[i], 0) << odd;  // the next block
  }
}

TEST(Requantize, OnlyWhatSavesMemoryIsRounded) {
  const auto target = [](Encoding encoding, int64_t columns, Quantize quantize) {
    std::vector<std::byte> bytes(columns / block_elements(encoding) * block_bytes(encoding));
    return packed_encoding({.encoding = encoding, .rows = 1, .columns = columns, .bytes = bytes},
                           quantize);
  };
  EXPECT_EQ(target(Encoding::kBF16, 64, Quantize::kNone), Encoding::kBF16);
  EXPECT_EQ(target(Encoding::kBF16, 64, Quantize::kQ8), Encoding::kQ8_0);
  EXPECT_EQ(target(Encoding::kF32, 64, Quantize::kQ4), Encoding::kIQ4_NL);
  EXPECT_EQ(target(Encoding::kQ8_0, 64, Quantize::kQ8), Encoding::kQ8_0);
  EXPECT_EQ(target(Encoding::kQ6_K, 256, Quantize::kQ8), Encoding::kQ6_K);
  EXPECT_EQ(target(Encoding::kQ8_0, 64, Quantize::kQ4), Encoding::kIQ4_NL);
  EXPECT_EQ(target(Encoding::kQ4_K, 256, Quantize::kQ4), Encoding::kQ4_K);
  EXPECT_EQ(target(Encoding::kBF16, 48, Quantize::kQ8), Encoding::kBF16);  // not whole blocks
}

TEST(Requantize, ScalesCountAsStoredBits) {
  std::vector<std::byte> bytes(64 * 128);
  TensorView view{.encoding = Encoding::kInt4, .rows = 64, .columns = 128};
  view.bytes = std::span(bytes).first(64 * 64);
  view.groups = {.type = Encoding::kBF16,
                 .columns = 32,
                 .scales = std::span(bytes).first(64 * 8),
                 .biases = std::span(bytes).first(64 * 8)};
  EXPECT_EQ(packed_encoding(view, Quantize::kQ4), Encoding::kIQ4_NL);  // 5 bits against 4.5
  view.groups.biases = {};
  EXPECT_EQ(packed_encoding(view.select(3, 5), Quantize::kQ4), Encoding::kInt4);
}

TEST(Requantize, BlocksHoldTheEncodedRows) {
  constexpr int64_t kRows = 37;  // three blocks, the last one short
  constexpr int64_t kColumns = 96;
  const std::vector<float> numbers = weights(2 * kRows * kColumns);
  const TensorView every_other = view_of(numbers, 2 * kRows).select(1, kRows, 2);
  for (const Encoding encoding : {Encoding::kQ8_0, Encoding::kIQ4_NL}) {
    std::vector<std::byte> row(kColumns / 32 * block_bytes(encoding));
    const TensorView encoded{
        .encoding = encoding, .rows = 1, .columns = kColumns, .bytes = std::span(row)};
    TensorView geometry = every_other;
    geometry.encoding = encoding;
    PackedMatrix matrix(geometry);
    auto memory = Buffer::allocate(matrix.bytes());
    ASSERT_TRUE(memory.ok());
    matrix.data = memory->data();
    requantize_blocks(every_other, matrix, 2, 3);
    requantize_blocks(every_other, matrix, 0, 2);
    for (int64_t r = 0; r < kRows; ++r) {
      const float* source = numbers.data() + (2 * r + 1) * kColumns;
      if (encoding == Encoding::kQ8_0) {
        encode_q8_0(source, kColumns, row.data());
      } else {
        encode_iq4_nl(source, kColumns, row.data());
      }
      std::vector<float> expected(kColumns);
      std::vector<float> unpacked(kColumns);
      decode_tensor(encoded, expected.data());
      unpack_row(matrix, r, unpacked.data());
      EXPECT_EQ(unpacked, expected) << r;
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const bool nan = (half & 0x7fff) > 0x7c00;
    if (nan) continue;
    EXPECT_EQ(kernels::to_f16(kernels::from_f16(half)), half);
  }
  EXPECT_EQ(kernels::to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(kernels::to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(kernels::to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(kernels::to_f16(1.00048828125f), 0x3c00);   // halfway: to even
  EXPECT_EQ(kernels::to_f16(1.00146484375f), 0x3c02);   // halfway: to even
  EXPECT_EQ(kernels::to_f16(2.98023224e-08f), 0x0000);  // half the smallest
  EXPECT_EQ(kernels::to_f16(2.99e-08f), 0x0001);
  EXPECT_EQ(kernels::to_f16(std::nanf("")) & 0x7fff, 0x7e00);
}

}  // namespace
}  // namespace hearth::engine
