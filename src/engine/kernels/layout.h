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
// The quantised ones are followed by their scales, [columns / 32][16] in half precision.
#pragma once

#include <cstdint>

namespace hearth::engine::kernels {

// Internal linkage throughout: this header is compiled for several instruction sets, and a copy
// made for one must never be linked into another's callers.
constexpr int kBlockRows = 16;
constexpr int kGroup = 32;     // columns that share a quantisation scale; columns are padded to it
constexpr int kTileRows = 8;   // rows of activations that share one pass over a weight block
constexpr int kEncodings = 5;  // of engine::Encoding, whose order indexes the kernel tables

static inline int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace hearth::engine::kernels
