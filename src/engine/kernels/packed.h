// Packed weights read one at a time, portably: what the layouts of layout.h mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"

namespace hearth::engine::kernels {

// What a code stands for, before scale and offset; not for plain floats.
static inline float value_of_code(Values values, uint8_t code) {
  switch (values) {
    case Values::kFloat8:
      return from_e4m3(code);
    case Values::kIQ4:
      return kIQ4Values[code];
    case Values::kE2M1:
      return kE2M1Values[code];
    default:
      return code;
  }
}

struct Scaling {
  float scale = 1;
  float offset = 0;
  float min = 0;
  float apply(float value) const { return scale * (value - offset) + min; }
};

}  // namespace hearth::engine::kernels
