// Attention, compiled for one instruction set (flags: kernels.cmake).
#include "engine/kernels/neon/simd.h"

// Builds on it.
#include "engine/kernels/generic/attention.h"
#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {

using namespace neon;

const AttentionKernels kNeonAttentionKernels = {
    .store = {store<PageF32>, store<PageQ16>, store<PageBF16>, store<PageQ8>},
    .attend = {attend<PageF32>, attend<PageQ16>, attend<PageBF16>, attend<PageQ8>},
    .add_spans = add_spans,
};

}  // namespace hearth::engine::kernels
