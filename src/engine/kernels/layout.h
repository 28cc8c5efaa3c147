// N16K4, the packed weight layout that every kernel of every instruction set reads.
//
// A matrix [rows, columns] is cut into blocks of 16 rows; a block holds its rows' numbers for
// ascending k (the column), so that a thread streams through its blocks in one ascending sweep.
// Rows and columns are padded with zeros to multiples of 16 and 32. One "vector" is 64 bytes.
//   F32          one k a vector: lane n is row n
//   F16          one k a half vector: lane n is row n
//   BF16         two k a vector: dword n holds row n's k in its low half and k + 1 in its high half
//   Q8_0         four k a vector: dword n holds row n's k .. k + 3, each as q + 128 (unsigned)
//   Q4_0         eight k a vector: byte b of dword n holds row n's k + b in its low nibble and
//                k + 4 + b in its high nibble, as in the file (q + 8)
//   Q6_K         a plane of low nibbles like Q4_0's, then a plane of the two high bits: sixteen k a
//                vector, bits 2t and 2t + 1 of byte b of dword n belong to row n's k + 4t + b
// Q8_0 and Q4_0 are followed by their scales, [columns / 32][16] in half precision; Q6_K by its
// 8-bit scales, [columns / 16][16], and their common factors, [columns / 256][16] in half
// precision.
#pragma once

#include <cstdint>

namespace hearth::engine::kernels {

// Internal linkage throughout: this header is compiled for several instruction sets, and a copy
// made for one must never be linked into another's callers.
constexpr int kBlockRows = 16;
constexpr int kGroup = 32;  // columns that share a quantisation scale; columns are padded to it
constexpr int kHalfGroup = 16;
constexpr int kTileRows = 8;   // rows of activations that share one pass over a weight block
constexpr int kEncodings = 6;  // of engine::Encoding, whose order indexes the kernel tables

// Quantised activations are integers up to this: 15 bits with the sign, which two signed bytes hold
// as high * 128 + low. Eight bits would do for most models; with 15 the weights' own rounding is
// all that separates default from exact precision, and where memory is the limit they cost nothing.
constexpr int kQuantMax = 127 * 128;

static inline int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace hearth::engine::kernels
