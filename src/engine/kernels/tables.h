// The kernel tables, one per instruction set; only isa.cc and the files that define them look here.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels {

// Products by encoding. They are files of their own because they take long to compile.
struct MatmulKernels {
  Matmul of[kEncodings];
};

extern const MatmulKernels kScalarFloatKernels;
extern const MatmulKernels kScalarQuantKernels;
extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const MatmulKernels kAvx2FloatKernels;
extern const MatmulKernels kAvx2QuantKernels;
extern const Kernels kAvx2Kernels;
extern const MatmulKernels kAvx512FloatKernels;
extern const MatmulKernels kAvx512QuantKernels;
extern const Kernels kAvx512Kernels;
extern const SlabKernels kAmxSlabKernels;
#endif

}  // namespace hearth::engine::kernels
