#include "engine/models/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hearth::engine {
namespace {

TEST(Rope, PlainFrequenciesFallGeometrically) {
  const auto f = rope_frequencies({.theta = 10000}, 8);
  ASSERT_EQ(f.size(), 4u);
  EXPECT_DOUBLE_EQ(f[0], 1);
  EXPECT_DOUBLE_EQ(f[1], 0.1);
  EXPECT_DOUBLE_EQ(f[3], 0.001);
}

TEST(Rope, LinearScalingStretchesAll) {
  const auto f = rope_frequencies({.theta = 100, .scaling = RopeScaling::kLinear, .factor = 4}, 4);
  EXPECT_DOUBLE_EQ(f[0], 0.25);
  EXPECT_DOUBLE_EQ(f[1], 0.025);
}

TEST(Rope, Llama3KeepsShortWavesAndStretchesLongOnes) {
  const RopeSpec rope{.theta = 500000,
                      .scaling = RopeScaling::kLlama3,
                      .factor = 8,
                      .low_freq_factor = 1,
                      .high_freq_factor = 4,
                      .original_context = 8192};
  const auto scaled = rope_frequencies(rope, 128);
  const auto plain = rope_frequencies({.theta = 500000}, 128);
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
  const auto f = rope_frequencies(
      {.theta = 100, .scaling = RopeScaling::kLlama3, .factor = 8, .frequency_divisors = {1, 5}},
      4);
  EXPECT_DOUBLE_EQ(f[0], 1);
  EXPECT_DOUBLE_EQ(f[1], 0.02);
}

}  // namespace
}  // namespace hearth::engine
