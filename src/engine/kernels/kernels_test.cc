// Every instruction set that this machine supports against the scalar reference, over odd lengths
// and misaligned arrays.
#include "engine/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/kernels/numbers.h"
#include "engine/kernels/test_kernels.h"

namespace hearth::engine::kernels {
namespace {

void for_each_length_and_misalignment(const std::function<void(int, int)>& check) {
  for (int n = 1; n <= 50; ++n) {
    for (int misalign = 0; misalign < 3; ++misalign) check(n, misalign);
  }
  check(1000, 1);
}

TEST_P(KernelsTest, RmsNorm) {
  for_each_length_and_misalignment([&](int n, int misalign) {
    Misaligned x(random(n), misalign);
    Misaligned weight(random(n), (misalign + 1) % 3);
    Misaligned out(std::vector<float>(n), (misalign + 2) % 3);
    std::vector<float> expected(n);
    reference().rms_norm(x.data(), weight.data(), n, 1e-5f, expected.data());
    kernels().rms_norm(x.data(), weight.data(), n, 1e-5f, out.data());
    expect_near(out.values(), expected, 1e-5f);
    EXPECT_TRUE(out.guards_intact());
    kernels().rms_norm(x.data(), weight.data(), n, 1e-5f, x.data());
    EXPECT_EQ(x.values(), out.values());
  });
}

TEST_P(KernelsTest, Rope) {
  for_each_length_and_misalignment([&](int half, int misalign) {
    const std::vector<float> angles = random(half);
    std::vector<float> cosines(half);
    std::vector<float> sines(half);
    std::transform(angles.begin(), angles.end(), cosines.begin(), [](float a) { return cosf(a); });
    std::transform(angles.begin(), angles.end(), sines.begin(), [](float a) { return sinf(a); });
    for (const auto rope : {&Kernels::rope_half, &Kernels::rope_interleaved}) {
      Misaligned x(random(2 * half), misalign);
      std::vector<float> expected = x.values();
      (reference().*rope)(expected.data(), cosines.data(), sines.data(), 2 * half);
      (kernels().*rope)(x.data(), cosines.data(), sines.data(), 2 * half);
      expect_near(x.values(), expected, 1e-6f);
      EXPECT_TRUE(x.guards_intact());
    }
  });
}

TEST_P(KernelsTest, GatedActivations) {
  for (const auto gated : {&Kernels::silu_mul, &Kernels::gelu_mul, &Kernels::swiglu_oss}) {
    for_each_length_and_misalignment([&](int n, int misalign) {
      std::vector<float> values = random(n, 8);
      values[0] = -200;  // e^200 overflows
      values[n / 2] = 200;
      Misaligned gate(values, misalign);
      Misaligned up(random(n, 5), (misalign + 1) % 3);
      std::vector<float> expected = gate.values();
      (reference().*gated)(expected.data(), up.data(), n);
      (kernels().*gated)(gate.data(), up.data(), n);
      expect_near(gate.values(), expected, 2e-6f);
      EXPECT_TRUE(gate.guards_intact());
    });
  }
}

TEST_P(KernelsTest, Add) {
  for_each_length_and_misalignment([&](int n, int misalign) {
    Misaligned x(random(n), misalign);
    Misaligned y(random(n), (misalign + 1) % 3);
    std::vector<float> expected = x.values();
    reference().add(expected.data(), y.data(), n);
    kernels().add(x.data(), y.data(), n);
    EXPECT_EQ(x.values(), expected);
    EXPECT_TRUE(x.guards_intact());
  });
}

TEST_P(KernelsTest, DeltaRule) {
  for (const int key_dim : {1, 5, 16, 32}) {
    for_each_length_and_misalignment([&](int value_dim, int misalign) {
      std::vector<float> expected_state = random(key_dim * value_dim);
      std::vector<float> expected(value_dim);
      Misaligned state(expected_state, misalign);
      Misaligned out(random(value_dim), (misalign + 1) % 3);
      for (int token = 0; token < 3; ++token) {
        const std::vector<float> query = random(key_dim);
        const std::vector<float> key = random(key_dim, 0.5f);
        const std::vector<float> value = random(value_dim);
        DeltaRuleArgs args{.state = state.data(),
                           .key_dim = key_dim,
                           .value_dim = value_dim,
                           .query = query.data(),
                           .key = key.data(),
                           .value = value.data(),
                           .decay = 0.8f,
                           .beta = 0.3f,
                           .out = out.data()};
        kernels().delta_rule(args);
        args.state = expected_state.data();
        args.out = expected.data();
        reference().delta_rule(args);
        expect_near(out.values(), expected, 1e-5f);
        expect_near(state.values(), expected_state, 1e-5f);
      }
      EXPECT_TRUE(state.guards_intact());
      EXPECT_TRUE(out.guards_intact());
    });
  }
}

// The integers of a tile are in each instruction set's own form: what they are, the products show.
TEST_P(KernelsTest, Tiles) {
  for (int m = 1; m <= kTileRows; ++m) {
    for (const int64_t columns : {1, 7, 31, 32, 33, 64, 100, 256}) {
      SCOPED_TRACE(testing::Message() << m << " x " << columns);
      const int64_t padded = round_up(columns, kGroup);
      Misaligned rows(random(m * columns), m % 3);
      std::vector<float> expected(m * padded, -1);
      std::vector<float> tile(m * padded, -2);
      reference().tile_f32(rows.data(), m, columns, expected.data());
      kernels().tile_f32(rows.data(), m, columns, tile.data());
      EXPECT_EQ(tile, expected);

      QuantTile expected_q(m, columns);
      QuantTile tile_q(m, columns);
      reference().tile_q(rows.data(), m, columns, expected_q.bytes.data(), expected_q.scales.data(),
                         expected_q.sums.data());
      kernels().tile_q(rows.data(), m, columns, tile_q.bytes.data(), tile_q.scales.data(),
                       tile_q.sums.data());
      EXPECT_EQ(tile_q.scales, expected_q.scales);
      EXPECT_EQ(tile_q.sums, expected_q.sums);
    }
  }
}

TEST_P(KernelsTest, QuantisingExtremesNeitherCrashesNorLosesZeros) {
  for (const Kernels* k : {&kernels(), &reference()}) {
    std::vector<float> row(96, 0);
    row[32] = 1e-38f;
    row[64] = 3e38f;
    row[80] = -3e38f;
    QuantTile tile(1, 96);
    k->tile_q(row.data(), 1, 96, tile.bytes.data(), tile.scales.data(), tile.sums.data());
    EXPECT_EQ(tile.scales[0], 0);
    EXPECT_EQ(tile.scales[1], 0);
    EXPECT_EQ(tile.sums, (std::vector<int32_t>{0, 0, 0, 0, kQuantMax, -kQuantMax}));
    row[3] = NAN;
    row[40] = INFINITY;
    k->tile_q(row.data(), 1, 96, tile.bytes.data(), tile.scales.data(), tile.sums.data());
  }
}

TEST_P(KernelsTest, PeaksCountTheirMultiplyAdds) {
  for (const auto peak : {kernels().peak_float, kernels().peak_quantised}) {
    EXPECT_GT(peak(1), 0);
    EXPECT_EQ(peak(1000), 1000 * peak(1));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, KernelsTest, testing::ValuesIn(faster_than_scalar()), isa_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KernelsTest);

TEST(Numbers, HalfAndBfloat16) {
  EXPECT_EQ(from_f16(0x3c00), 1.0f);
  EXPECT_EQ(from_f16(0xc000), -2.0f);
  EXPECT_EQ(from_f16(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(from_f16(0x7bff), 65504.0f);
  EXPECT_EQ(from_f16(0xfc00), -INFINITY);
  EXPECT_TRUE(std::isnan(from_f16(0x7e00)));
  EXPECT_EQ(to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(to_bf16(float_of(0x3f808000)), 0x3f80);  // tie to even
  EXPECT_EQ(to_bf16(float_of(0x3f818000)), 0x3f82);
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(float_of(0x7f800001)))));
}

}  // namespace
}  // namespace hearth::engine::kernels
