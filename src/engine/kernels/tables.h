// The kernel tables, one per instruction set; only isa.cc and the files that define them look here.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels {

// Products by encoding. They are files of their own because they take long to compile.
struct MatmulKernels {
  Matmul of[kEncodings];
};

struct TransposedKernels {
  MatmulTransposed of[kEncodings];
};

extern const MatmulKernels kScalarFloatKernels;
extern const MatmulKernels kScalarQuantKernels;
extern const TransposedKernels kScalarTransposedKernels;
extern const AttentionKernels kScalarAttentionKernels;
extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const MatmulKernels kAvx2FloatKernels;
extern const MatmulKernels kAvx2QuantKernels;
extern const TransposedKernels kAvx2TransposedKernels;
extern const AttentionKernels kAvx2AttentionKernels;
extern const Kernels kAvx2Kernels;
extern const MatmulKernels kAvx512FloatKernels;
extern const MatmulKernels kAvx512QuantKernels;
extern const TransposedKernels kAvx512TransposedKernels;
extern const AttentionKernels kAvx512AttentionKernels;
extern const Kernels kAvx512Kernels;
extern const SlabKernels kAmxSlabKernels;
#elif defined(__aarch64__)
extern const MatmulKernels kNeonFloatKernels;
extern const MatmulKernels kNeonQuantKernels;
extern const TransposedKernels kNeonTransposedKernels;
extern const AttentionKernels kNeonAttentionKernels;
extern const Kernels kNeonKernels;
extern const MatmulKernels kNeonI8mmQuantKernels;
extern const Kernels kNeonI8mmKernels;
#endif

}  // namespace hearth::engine::kernels
