// Rotary position embedding (Su et al.: "RoFormer", https://arxiv.org/abs/2104.09864).
#pragma once

#include <span>
#include <vector>

#include "engine/model_spec.h"

namespace hearth::engine {

// The angle by which one position turns each pair of a head's dimensions: theta^(-2i/head_dim),
// scaled as the spec says. [head_dim / 2]
std::vector<double> rope_frequencies(const RopeSpec& rope, int head_dim);

// cos and sin of position * frequency. [frequencies] each
void rope_angles(std::span<const double> frequencies, int position, float* cosines, float* sines);

}  // namespace hearth::engine
