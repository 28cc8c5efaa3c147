// What this machine could do at most, to compare with what a model does on it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"

namespace hearth::engine {

// Measures with a thread on every physical core, by the kernels that models run with. What other
// programs take meanwhile is missing. Not thread-safe; each call takes some tens of milliseconds.
class Ceilings {
 public:
  virtual ~Ceilings() = default;

  // kInvalidArgument and kUnsupported as kernels of HEARTH_ISA; kResourceExhausted if the system
  // refuses a thread.
  static Result<std::unique_ptr<Ceilings>> create();

  // Bytes a second that can be read of `memory`: of a model's weights, so that what fits into the
  // caches is compared with them.
  virtual double read_rate(std::span<const std::byte> memory) = 0;
  // Multiply-adds a second in the inner loop of products with weights and activations that are
  // quantised, or floats.
  virtual double multiply_add_rate(bool quantised) = 0;
};

}  // namespace hearth::engine
