// A tensor's numbers as its file holds them: codes of 2 to 8 bits and what scales them
// (docs/formats.md). For the encodings that are not plain floats.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/model_files.h"

namespace hearth::engine {

// Row `row` of the view.
const std::byte* file_row(const TensorView& view, int64_t row);

// The codes of the columns 32 * group and up, zeros beyond the last column. Signed bytes (Q8_0)
// come with 128 added; FP8 as its bits.
void read_codes(const TensorView& view, int64_t row, int64_t group, uint8_t (&codes)[32]);

// The scales of a block of a GGUF encoding. The small ones are for 16 columns each (Q2_K, Q3_K,
// Q6_K) or for 32, and signed where the encoding's are.
struct BlockScales {
  uint16_t scale = 0;  // a half, or an E8M0 byte
  uint16_t min = 0;    // a half
  int8_t small_scales[16] = {};
  uint8_t small_mins[16] = {};
};
// REQUIRES: the encoding is one of GGUF's, and not a float.
BlockScales read_block_scales(Encoding encoding, const std::byte* block);

// What one number of a tensor with GroupScales is scaled with, as the file has it.
struct GroupScale {
  uint32_t scale = 0;  // the bits of a float of the type GroupScales::type, or an E8M0 byte
  uint32_t bias = 0;   // the same, 0 without biases
  uint8_t zero = 0;    // 0 without zeros
};

// The scales of row `row` of a view. REQUIRES: the tensor passed check_groups().
class GroupScaleRow {
 public:
  GroupScaleRow(const TensorView& view, int64_t row);
  GroupScale at(int64_t column) const;

 private:
  const GroupScales& groups_;
  size_t width_;         // of a scale
  int64_t first_group_;  // of the row, among all
  int64_t first_word_;   // of zeros
  int zero_shift_;
  uint32_t zero_mask_;
};

}  // namespace hearth::engine
