// Weights in fewer bits than the file has them, made while they are packed (--quantize). Lossy,
// and asked for: a device with little memory can so hold more of a model.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/model_files.h"
#include "engine/rank_model.h"
#include "engine/tensor/packed_matrix.h"

namespace hearth::engine {

// The encoding that a matrix of this view is packed in: Q8_0 for kQ8, IQ4_NL for kQ4, whose 16
// levels lie as normally distributed weights do, so that its error is Q4_K's at the same 4.5 bits
// and any multiple of 32 columns will do. The view's own where that saves less than half a bit
// a weight, or the columns do not fill blocks of 32.
Encoding packed_encoding(const TensorView& view, Quantize quantize);

// pack_blocks for a matrix whose encoding is not the view's: decodes 16 rows at a time and encodes
// them anew. REQUIRES: the encoding is one that packed_encoding gives.
void requantize_blocks(const TensorView& view, const PackedMatrix& matrix, int64_t begin,
                       int64_t end);

// `count` numbers (a multiple of 32) as blocks of the file's Q8_0, and of its IQ4_NL.
void encode_q8_0(const float* numbers, int64_t count, std::byte* out);
void encode_iq4_nl(const float* numbers, int64_t count, std::byte* out);

}  // namespace hearth::engine
