// A tensor's numbers as its file holds them: codes of 2 to 8 bits and what scales them
// (docs/formats.md). For the encodings that are not plain floats.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/model_files.h"

namespace hearth::engine {

// Row `row` of the view.
const std::byte* file_row(const TensorView& view, int64_t row);

// 32 columns of kLanes rows: byte b of codes[j][n] is lane n's column 4 j + b.
template <int kLanes>
using Codes = uint32_t[8][kLanes];

// `count` rows of a view from row `first` on, side by side in as many lanes; the lanes beyond are
// zero. kLanes: 1 or 16.
template <int kLanes>
class FileRows {
 public:
  static constexpr int64_t kReadBytes = 32;

  // REQUIRES: 1 <= count <= kLanes.
  FileRows(const TensorView& view, int64_t first, int count);

  const std::byte* row(int n) const { return rows_[n]; }

  // The codes of the columns 32 * group and up, zeros beyond the last column. Signed bytes (Q8_0)
  // come with 128 added; FP8 as its bits.
  void read_codes(int64_t group, Codes<kLanes>& codes) const;

  // kReadBytes of each row from byte `at` on, zeros beyond the last.
  void read_bytes(int64_t at, Codes<kLanes>& bytes) const;

 private:
  void clear_unused(Codes<kLanes>& codes) const;

  Encoding encoding_;
  int64_t row_bytes_;
  int count_;
  const std::byte* rows_[kLanes];
};

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

  // By group of the row: the numbers side by side as the file has them, null without.
  const std::byte* scales() const { return scales_; }
  const std::byte* biases() const { return biases_; }
  // REQUIRES: there are zeros.
  uint8_t zero(int64_t group) const;

 private:
  const GroupScales& groups_;
  int width_;  // of a scale
  const std::byte* scales_;
  const std::byte* biases_ = nullptr;
  const std::byte* zeros_ = nullptr;
  int zero_shift_ = 0;
  uint32_t zero_mask_ = 0;
};

}  // namespace hearth::engine
