#include "engine/models/rope.h"

#include <algorithm>
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

// YaRN (https://arxiv.org/abs/2309.00071): pairs that turn more than beta_fast times within the
// original context are kept, those that turn less than beta_slow times are stretched, and the ramp
// between is linear in the pair's number.
struct YarnRamp {
  double low = 0;
  double high = 0;

  explicit YarnRamp(const RopeSpec& rope) {
    const auto pair_that_turns = [&](double times) {
      return rope.dimensions * std::log(rope.original_context / (times * 2 * std::numbers::pi)) /
             (2 * std::log(rope.theta));
    };
    low = pair_that_turns(rope.beta_fast);
    high = pair_that_turns(rope.beta_slow);
    if (rope.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, rope.dimensions - 1.0);
    if (low == high) high += 0.001;
  }
  double stretched_share(int pair) const {
    return std::clamp((pair - low) / (high - low), 0.0, 1.0);
  }
};

// The base that "dynamic NTK" scaling uses for sequences longer than the original context.
double dynamic_theta(const RopeSpec& rope, int64_t capacity) {
  const double length = std::max<double>(static_cast<double>(capacity), rope.original_context);
  const double stretch = rope.factor * length / rope.original_context - (rope.factor - 1);
  return rope.theta * std::pow(stretch, rope.dimensions / (rope.dimensions - 2.0));
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& rope, int64_t capacity) {
  std::vector<double> frequencies(rope.dimensions / 2);
  const bool dynamic = rope.scaling == RopeScaling::kDynamic && rope.dimensions > 2;
  const double theta = dynamic ? dynamic_theta(rope, capacity) : rope.theta;
  const YarnRamp ramp(rope);
  for (int i = 0; i < rope.dimensions / 2; ++i) {
    double& frequency = frequencies[i];
    frequency = std::pow(theta, -2.0 * i / rope.dimensions);
    if (!rope.frequency_divisors.empty()) {
      frequency /= rope.frequency_divisors[i];
    } else if (rope.scaling == RopeScaling::kLinear) {
      frequency /= rope.factor;
    } else if (rope.scaling == RopeScaling::kLlama3) {
      frequency = scale_llama3(rope, frequency);
    } else if (rope.scaling == RopeScaling::kYarn) {
      const double share = ramp.stretched_share(i);
      frequency = frequency / rope.factor * share + frequency * (1 - share);
    } else if (rope.scaling == RopeScaling::kLongRope) {
      frequency /= (capacity > rope.original_context ? rope.long_factors : rope.short_factors)[i];
    }
  }
  return frequencies;
}

void rope_angles(std::span<const double> frequencies, int position, double factor, float* cosines,
                 float* sines) {
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = position * frequencies[i];
    cosines[i] = static_cast<float>(std::cos(angle) * factor);
    sines[i] = static_cast<float>(std::sin(angle) * factor);
  }
}

double yarn_mscale(double factor, double multiplier) {
  return factor <= 1 ? 1 : 0.1 * multiplier * std::log(factor) + 1;
}

}  // namespace hearth::engine
