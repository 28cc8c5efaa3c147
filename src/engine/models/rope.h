// Rotary position embedding: https://arxiv.org/abs/2104.09864, and how models stretch it to longer
// contexts.
#pragma once

#include <span>
#include <vector>

#include "engine/model_spec.h"

namespace hearth::engine {

// Radians per position of each pair of dimensions, [rope.dimensions / 2]. `capacity` is the longest
// sequence that will be computed: dynamic scaling and LongRoPE depend on it, and are the same for
// every sequence, so that what is cached stays valid as a sequence grows.
std::vector<double> rope_frequencies(const RopeSpec& rope, int64_t capacity);

// Cosines and sines [frequencies.size()] of a position's angles, times `factor`.
void rope_angles(std::span<const double> frequencies, int position, double factor, float* cosines,
                 float* sines);

// YaRN's temperature: 0.1 * multiplier * ln(factor) + 1, and 1 for factors up to 1.
double yarn_mscale(double factor, double multiplier);

}  // namespace hearth::engine
