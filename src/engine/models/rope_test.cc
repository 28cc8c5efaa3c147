#include "engine/models/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hearth::engine {
namespace {

TEST(Rope, PlainFrequenciesFallGeometrically) {
  const auto f = rope_frequencies({.theta = 10000, .dimensions = 8}, 100);
  ASSERT_EQ(f.size(), 4u);
  EXPECT_DOUBLE_EQ(f[0], 1);
  EXPECT_DOUBLE_EQ(f[1], 0.1);
  EXPECT_DOUBLE_EQ(f[3], 0.001);
}

TEST(Rope, LinearScalingStretchesAll) {
  const auto f = rope_frequencies(
      {.theta = 100, .dimensions = 4, .scaling = RopeScaling::kLinear, .factor = 4}, 100);
  EXPECT_DOUBLE_EQ(f[0], 0.25);
  EXPECT_DOUBLE_EQ(f[1], 0.025);
}

TEST(Rope, Llama3KeepsShortWavesAndStretchesLongOnes) {
  const RopeSpec rope{.theta = 500000,
                      .dimensions = 128,
                      .scaling = RopeScaling::kLlama3,
                      .factor = 8,
                      .low_freq_factor = 1,
                      .high_freq_factor = 4,
                      .original_context = 8192};
  const auto scaled = rope_frequencies(rope, 100);
  const auto plain = rope_frequencies({.theta = 500000, .dimensions = 128}, 100);
  EXPECT_EQ(scaled[0], plain[0]);
  EXPECT_DOUBLE_EQ(scaled[63], plain[63] / 8);
  // Between: wavelength 3310 at i = 30 lies between 2048 and 8192.
  const double wavelength = 2 * M_PI / plain[31];
  ASSERT_GT(wavelength, 2048);
  ASSERT_LT(wavelength, 8192);
  const double blend = (8192 / wavelength - 1) / 3;
  EXPECT_NEAR(scaled[31], plain[31] * (blend + (1 - blend) / 8), 1e-12);
}

TEST(Rope, DivisorsOfTheFileReplaceTheFormula) {
  const auto f = rope_frequencies({.theta = 100,
                                   .dimensions = 4,
                                   .scaling = RopeScaling::kLlama3,
                                   .factor = 8,
                                   .frequency_divisors = {1, 5}},
                                  100);
  EXPECT_DOUBLE_EQ(f[0], 1);
  EXPECT_DOUBLE_EQ(f[1], 0.02);
}

// Numbers of transformers' _compute_yarn_parameters for these settings.
TEST(Rope, YarnKeepsFastPairsAndStretchesSlowOnes) {
  RopeSpec rope{.theta = 10000,
                .dimensions = 64,
                .scaling = RopeScaling::kYarn,
                .factor = 40,
                .original_context = 4096};
  const auto scaled = rope_frequencies(rope, 100);
  const auto plain = rope_frequencies({.theta = 10000, .dimensions = 64}, 100);
  // The correction range is pairs 10 to 23.
  EXPECT_DOUBLE_EQ(scaled[10], plain[10]);
  EXPECT_LT(scaled[11], plain[11]);
  EXPECT_DOUBLE_EQ(scaled[23], plain[23] / 40);
  EXPECT_NEAR(scaled[15], plain[15] * (8 + 5 / 40.0) / 13, 1e-12);
  rope.truncate = false;  // 10.47 to 22.51
  const auto untruncated = rope_frequencies(rope, 100);
  EXPECT_GT(untruncated[11], scaled[11]);
  EXPECT_NEAR(yarn_mscale(40, 1), 1.3688879, 1e-6);
  EXPECT_EQ(yarn_mscale(0.5, 1), 1);
}

TEST(Rope, DynamicScalingGrowsTheBaseBeyondTheOriginalContext) {
  const RopeSpec rope{.theta = 10000,
                      .dimensions = 64,
                      .scaling = RopeScaling::kDynamic,
                      .factor = 2,
                      .original_context = 1000};
  const auto plain = rope_frequencies({.theta = 10000, .dimensions = 64}, 100);
  EXPECT_EQ(rope_frequencies(rope, 1000), plain);
  const double base = 10000 * std::pow(2 * 4.0 - 1, 64.0 / 62);
  EXPECT_NEAR(rope_frequencies(rope, 4000)[31], std::pow(base, -62.0 / 64), 1e-12);
}

TEST(Rope, LongRopeChoosesItsFactorsByLength) {
  const RopeSpec rope{.theta = 100,
                      .dimensions = 4,
                      .scaling = RopeScaling::kLongRope,
                      .original_context = 64,
                      .short_factors = {1, 2},
                      .long_factors = {4, 5}};
  EXPECT_EQ(rope_frequencies(rope, 64), (std::vector<double>{1, 0.1 / 2}));
  EXPECT_EQ(rope_frequencies(rope, 65), (std::vector<double>{0.25, 0.1 / 5}));
}

TEST(Rope, TheAttentionFactorScalesCosinesAndSines) {
  const std::vector<double> frequencies = {0.5};
  float cosine = 0;
  float sine = 0;
  rope_angles(frequencies, 3, 2, &cosine, &sine);
  EXPECT_FLOAT_EQ(cosine, static_cast<float>(2 * std::cos(1.5)));
  EXPECT_FLOAT_EQ(sine, static_cast<float>(2 * std::sin(1.5)));
}

}  // namespace
}  // namespace hearth::engine
