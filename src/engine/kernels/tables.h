// The kernel tables, one per instruction set; only isa.cc and the files that define them look here.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels {

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace hearth::engine::kernels
