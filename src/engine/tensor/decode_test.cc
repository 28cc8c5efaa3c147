// Values worked out by hand from the formats' definitions (docs/formats.md).
#include "engine/tensor/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/formats/encoding.h"

namespace hearth::engine {
namespace {

// One zeroed block with some bytes set.
class Block {
 public:
  explicit Block(Encoding encoding) : encoding_(encoding), bytes_(block_bytes(encoding)) {}
  Block& set(int at, std::initializer_list<int> values) {
    for (const int value : values) bytes_[at++] = static_cast<std::byte>(value);
    return *this;
  }
  Block& half_one(int at) { return set(at, {0x00, 0x3c}); }
  Block& half_two(int at) { return set(at, {0x00, 0x40}); }
  std::vector<float> decode() const {
    std::vector<float> out(block_elements(encoding_));
    decode_tensor({encoding_, 1, block_elements(encoding_), bytes_}, out.data());
    return out;
  }

 private:
  Encoding encoding_;
  std::vector<std::byte> bytes_;
};

TEST(Decode, Q4_0) {
  const auto out = Block(Encoding::kQ4_0).set(0, {0x00, 0x38}).set(2, {0xf1}).decode();
  EXPECT_EQ(out[0], 0.5f * (1 - 8));
  EXPECT_EQ(out[16], 0.5f * (15 - 8));
  EXPECT_EQ(out[1], 0.5f * (0 - 8));
}

TEST(Decode, Q4_1) {
  const auto out = Block(Encoding::kQ4_1).half_two(0).half_one(2).set(4 + 3, {0xf5}).decode();
  EXPECT_EQ(out[3], 2 * 5 + 1);
  EXPECT_EQ(out[19], 2 * 15 + 1);
  EXPECT_EQ(out[0], 1);
}

TEST(Decode, Q5_0) {
  // Fifth bits of the numbers 3 and 31.
  const auto out =
      Block(Encoding::kQ5_0).half_two(0).set(2, {0x08, 0, 0, 0x80}).set(6 + 3, {0x21}).decode();
  EXPECT_EQ(out[3], 2 * (17 - 16));
  EXPECT_EQ(out[19], 2 * (2 - 16));
  EXPECT_EQ(out[31], 2 * (16 - 16));
  EXPECT_EQ(out[15], 2 * (0 - 16));
}

TEST(Decode, Q5_1) {
  const auto out = Block(Encoding::kQ5_1)
                       .half_two(0)
                       .half_one(2)
                       .set(4, {0, 0, 0x01, 0})
                       .set(8, {0x73})
                       .decode();
  EXPECT_EQ(out[0], 2 * 3 + 1);
  EXPECT_EQ(out[16], 2 * (16 + 7) + 1);
}

TEST(Decode, Q8_0) {
  // The smallest subnormal, 2^-24.
  const auto out = Block(Encoding::kQ8_0).set(0, {0x01, 0x00}).set(2 + 31, {0x80}).decode();
  EXPECT_EQ(out[31], -128.0f / 16777216.0f);
  EXPECT_EQ(out[0], 0);
}

TEST(Decode, Q2_K) {
  // Numbers 128 + 64 + 16 + 5: bits 4 and 5 of byte 32 + 16 + 5, scales of the 13th half group.
  const auto out = Block(Encoding::kQ2_K)
                       .set(13, {0x73})
                       .set(16 + 32 + 16 + 5, {0x30})
                       .half_two(80)
                       .half_one(82)
                       .decode();
  EXPECT_EQ(out[128 + 64 + 16 + 5], 2 * 3 * 3 - 1 * 7);
  EXPECT_EQ(out[128 + 64 + 16 + 6], -7);
  EXPECT_EQ(out[128 + 64 + 5], 0);
}

TEST(Decode, Q3_K) {
  // Scale 13 has its low bits in the high nibble of byte 5, its high bits in bits 6, 7 of byte 9.
  const auto out = Block(Encoding::kQ3_K)
                       .set(16 + 5, {0x40})            // third bit of number 6 * 32 + 16 + 5
                       .set(32 + 32 + 16 + 5, {0x20})  // its low bits: 2
                       .set(96 + 5, {0x50})
                       .set(96 + 9, {0x80})
                       .half_two(108)
                       .decode();
  EXPECT_EQ(out[6 * 32 + 16 + 5], 2.0f * (5 + 32 - 32) * (2 + 4 - 4));
  EXPECT_EQ(out[6 * 32 + 16 + 6], 2.0f * (5 + 32 - 32) * (0 - 4));
  EXPECT_EQ(out[0], 2.0f * (0 - 32) * (0 - 4));
}

TEST(Decode, Q4_K) {
  // Scale and min 1 lie in bytes 1 and 5; scale and min 6 are 5 and 9 in byte 10, with the high
  // bits of bytes 2 (1) and 6 (2).
  const auto out = Block(Encoding::kQ4_K)
                       .half_two(0)
                       .half_one(2)
                       .set(4 + 1, {3})
                       .set(4 + 5, {4})
                       .set(4 + 2, {0x40})
                       .set(4 + 6, {0x80})
                       .set(4 + 10, {0x95})
                       .set(16 + 7, {0xb0})        // number 32 + 7
                       .set(16 + 96 + 31, {0x0c})  // number 192 + 31
                       .decode();
  EXPECT_EQ(out[32 + 7], 2 * 3 * 11 - 4);
  EXPECT_EQ(out[192 + 31], 2 * (16 + 5) * 12 - (32 + 9));
  EXPECT_EQ(out[192], -(32 + 9));
}

TEST(Decode, Q5_K) {
  const auto out = Block(Encoding::kQ5_K)
                       .half_two(0)
                       .half_one(2)
                       .set(4 + 1, {3})
                       .set(4 + 5, {4})
                       .set(16 + 7, {0x02})  // fifth bit of number 32 + 7
                       .set(48 + 7, {0xb0})
                       .decode();
  EXPECT_EQ(out[32 + 7], 2 * 3 * (16 + 11) - 4);
  EXPECT_EQ(out[7], 0);
}

TEST(Decode, Q6_K) {
  const auto out = Block(Encoding::kQ6_K)
                       .set(64 + 32 + 5, {0xa0})   // numbers 128 + 32 + 5 (0) and 128 + 96 + 5 (10)
                       .set(128 + 32 + 5, {0xc0})  // high bits 3 of number 128 + 96 + 5
                       .set(192 + 14, {0xfe})      // scale -2 of numbers 224 .. 239
                       .half_one(208)
                       .decode();
  EXPECT_EQ(out[128 + 96 + 5], -2.0f * (10 + 48 - 32));
  EXPECT_EQ(out[128 + 96 + 6], -2.0f * -32);
  EXPECT_EQ(out[0], 0.0f);
}

TEST(Decode, IQ4) {
  const auto nl = Block(Encoding::kIQ4_NL).half_two(0).set(2 + 4, {0xf8}).decode();
  EXPECT_EQ(nl[4], 2 * 1);
  EXPECT_EQ(nl[20], 2 * 113);
  EXPECT_EQ(nl[0], 2 * -127);
  // Scale 3: low bits in the high nibble of the second byte, high bits in bits 6 and 7.
  const auto xs = Block(Encoding::kIQ4_XS)
                      .half_two(0)
                      .set(2, {0x80, 0x00})
                      .set(4 + 1, {0x30})
                      .set(8 + 3 * 16 + 2, {0x9a})
                      .decode();
  EXPECT_EQ(xs[3 * 32 + 2], 2 * (32 + 3 - 32) * 25);
  EXPECT_EQ(xs[3 * 32 + 18], 2 * (32 + 3 - 32) * 13);
  EXPECT_EQ(xs[0], 2 * -32 * -127);
}

TEST(Decode, MXFP4) {
  const auto out = Block(Encoding::kMXFP4).set(0, {129}).set(1 + 2, {0x7f}).decode();
  EXPECT_EQ(out[2], 4 * -6.0f);
  EXPECT_EQ(out[18], 4 * 6.0f);
  const auto tiny = Block(Encoding::kMXFP4).set(0, {0}).set(1, {0x21}).decode();
  EXPECT_EQ(tiny[0], std::ldexp(0.5f, -127));
  EXPECT_EQ(tiny[16], std::ldexp(1.0f, -127));
  EXPECT_TRUE(std::isnan(Block(Encoding::kMXFP4).set(0, {255}).decode()[0]));
}

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * 4);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(Decode, MXFP4Split) {
  std::vector<std::byte> blocks(2 * 32);
  std::vector<std::byte> scales{std::byte{127}, std::byte{127}, std::byte{127}, std::byte{128}};
  blocks[32 + 16 + 3] = std::byte{0x5a};  // row 1, numbers 32 + 6 and 32 + 7
  TensorView view{.encoding = Encoding::kMXFP4Split, .rows = 2, .columns = 64, .bytes = blocks};
  view.groups = {.columns = 32, .scales = scales};
  ASSERT_TRUE(check_groups(view, "t").ok());
  std::vector<float> out(64);
  decode_row(view, 1, out.data());
  EXPECT_EQ(out[32 + 6], 2 * -1.0f);
  EXPECT_EQ(out[32 + 7], 2 * 3.0f);
  decode_row(view.select(1, 1), 0, out.data());
  EXPECT_EQ(out[32 + 7], 2 * 3.0f);
}

TEST(Decode, F8WithBlockScales) {
  // 3 x 70 numbers in scale blocks of 2 x 64.
  std::vector<std::byte> bytes(3 * 70);
  bytes[70 + 63] = std::byte{0x7e};   // 448
  bytes[70 + 64] = std::byte{0x81};   // -2^-9
  bytes[140 + 69] = std::byte{0x38};  // 1
  const std::vector<std::byte> scales = bytes_of({1, 2, 3, 4});
  TensorView view{.encoding = Encoding::kF8_E4M3, .rows = 3, .columns = 70, .bytes = bytes};
  view.groups = {.rows = 2, .columns = 64, .scales = scales};
  ASSERT_TRUE(check_groups(view, "t").ok());
  std::vector<float> out(3 * 70);
  decode_tensor(view, out.data());
  EXPECT_EQ(out[70 + 63], 448);
  EXPECT_EQ(out[70 + 64], 2 * -1.0f / 512);
  EXPECT_EQ(out[140 + 69], 4);
  EXPECT_EQ(stored_bytes(view), 3 * 70 + 16);
  EXPECT_EQ(stored_bytes(view.select(0, 1)), 70 + 5);
  // Scales follow the tensor's rows, not the view's.
  decode_row(view.select(0, 2, 2), 1, out.data());
  EXPECT_EQ(out[69], 4);
}

TEST(Decode, IntegersAreABitStreamWithScaleAndBias) {
  for (const Encoding encoding : {Encoding::kInt2, Encoding::kInt3, Encoding::kInt4,
                                  Encoding::kInt5, Encoding::kInt6, Encoding::kInt8}) {
    SCOPED_TRACE(to_string(encoding));
    const int bits = block_bytes(encoding) / 4;
    std::vector<std::byte> bytes(2 * block_bytes(encoding));
    // Number 32 + 13 has all bits.
    for (int bit = (32 + 13) * bits; bit < (32 + 14) * bits; ++bit) {
      bytes[bit / 8] |= std::byte{1} << (bit % 8);
    }
    // BF16: 2 and -1 for the second group.
    const std::vector<std::byte> scales{{}, {}, std::byte{0x00}, std::byte{0x40}};
    const std::vector<std::byte> biases{{}, {}, std::byte{0x80}, std::byte{0xbf}};
    TensorView view{.encoding = encoding, .rows = 1, .columns = 64, .bytes = bytes};
    view.groups = {.type = Encoding::kBF16, .columns = 32, .scales = scales, .biases = biases};
    ASSERT_TRUE(check_groups(view, "t").ok());
    std::vector<float> out(64);
    decode_row(view, 0, out.data());
    EXPECT_EQ(out[32 + 13], static_cast<float>(2 * ((1 << bits) - 1) - 1));
    EXPECT_EQ(out[32 + 12], -1);
    EXPECT_EQ(out[32 + 14], -1);
    view.groups.biases = {};
    decode_row(view, 0, out.data());
    EXPECT_EQ(out[32 + 12], static_cast<float>(-2 * (1 << (bits - 1))));
  }
}

TEST(Decode, ZeroPointsLieAlongRows) {
  const int rows = 10;
  std::vector<std::byte> bytes(rows * 32, std::byte{0x99});
  const std::vector<std::byte> scales = bytes_of(std::vector<float>(rows * 2, 1));
  std::vector<std::byte> zeros(2 * 2 * 4);
  zeros[2 * 4 + 1 * 4] = std::byte{0x70};  // row 8 + 1, second group
  TensorView view{.encoding = Encoding::kInt4, .rows = rows, .columns = 64, .bytes = bytes};
  view.groups = {.columns = 32, .scales = scales, .zeros = zeros};
  ASSERT_TRUE(check_groups(view, "t").ok());
  std::vector<float> out(64);
  decode_row(view, 9, out.data());
  EXPECT_EQ(out[31], 9);
  EXPECT_EQ(out[32], 9 - 7);
}

TEST(CheckGroups, WrongSizesAreErrors) {
  const std::vector<std::byte> bytes(4 * 64);
  TensorView view{.encoding = Encoding::kInt8, .rows = 4, .columns = 64, .bytes = bytes};
  const auto message = [&] {
    const auto checked = check_groups(view, "w");
    return checked.ok() ? "" : checked.error().message();
  };
  const GroupScales good{.columns = 32, .scales = std::span(bytes).first(32)};
  view.groups = good;
  EXPECT_EQ(message(), "");
  view.groups.scales = std::span(bytes).first(31);
  EXPECT_EQ(message(), "tensor w: scales of 31 bytes, expected 32");
  view.groups = good;
  view.groups.columns = 48;
  EXPECT_NE(message(), "");
  view.groups.columns = 0;
  EXPECT_NE(message(), "");
  view.groups = good;
  view.groups.rows = 0;
  EXPECT_NE(message(), "");
  view.groups = good;
  view.groups.biases = std::span(bytes).first(4);
  EXPECT_EQ(message(), "tensor w: biases of 4 bytes, expected 32");
  view.groups.biases = {};
  view.groups.zeros = std::span(bytes).first(4);
  EXPECT_EQ(message(), "tensor w: zero points of 4 bytes, expected 8");
  view.groups.zeros = std::span(bytes).first(8);
  EXPECT_EQ(message(), "");
  view.groups.biases = view.groups.scales;
  EXPECT_NE(message(), "");
}

}  // namespace
}  // namespace hearth::engine
