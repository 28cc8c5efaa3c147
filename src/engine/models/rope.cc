#include "engine/models/rope.h"

#include <cmath>
#include <numbers>

namespace hearth::engine {
namespace {

// Llama 3.1's rule: long wavelengths are stretched by `factor`, short ones kept, and those between
// blended (https://github.com/meta-llama/llama-models, models/llama3/model.py, apply_scaling).
double scale_llama3(const RopeSpec& rope, double frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double longest_kept = rope.original_context / rope.high_freq_factor;
  const double shortest_stretched = rope.original_context / rope.low_freq_factor;
  if (wavelength < longest_kept) return frequency;
  if (wavelength > shortest_stretched) return frequency / rope.factor;
  const double blend = (rope.original_context / wavelength - rope.low_freq_factor) /
                       (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - blend) * frequency / rope.factor + blend * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& rope, int head_dim) {
  std::vector<double> frequencies(head_dim / 2);
  for (int i = 0; i < head_dim / 2; ++i) {
    double& frequency = frequencies[i];
    frequency = std::pow(rope.theta, -2.0 * i / head_dim);
    if (!rope.frequency_divisors.empty()) {
      frequency /= rope.frequency_divisors[i];
    } else if (rope.scaling == RopeScaling::kLinear) {
      frequency /= rope.factor;
    } else if (rope.scaling == RopeScaling::kLlama3) {
      frequency = scale_llama3(rope, frequency);
    }
  }
  return frequencies;
}

void rope_angles(std::span<const double> frequencies, int position, float* cosines, float* sines) {
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = position * frequencies[i];
    cosines[i] = static_cast<float>(std::cos(angle));
    sines[i] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace hearth::engine
