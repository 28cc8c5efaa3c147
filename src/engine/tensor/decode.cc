#include "engine/tensor/decode.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"
#include "engine/kernels/packed.h"
#include "engine/tensor/file_blocks.h"

namespace hearth::engine {
namespace {

using kernels::from_bf16;
using kernels::from_e8m0_half;
using kernels::from_f16;
using kernels::kGroup;
using kernels::kHalfGroup;
using kernels::kLayouts;
using kernels::Layout;
using kernels::Scaling;
using kernels::Values;

const Layout& layout_of(const TensorView& view) {
  return kLayouts[static_cast<int>(view.encoding)];
}

float float_of(Encoding type, uint32_t bits) {
  switch (type) {
    case Encoding::kF16:
      return from_f16(static_cast<uint16_t>(bits));
    case Encoding::kBF16:
      return from_bf16(static_cast<uint16_t>(bits));
    default:
      return kernels::float_of(bits);
  }
}

// What scales a row of a tensor with GroupScales.
class GroupScalings {
 public:
  GroupScalings(const TensorView& view, int64_t row) : view_(view), row_(view, row) {}

  // The 16 columns from `column` on.
  Scaling at(int64_t column) {
    const GroupScale group = row_.at(column);
    if (view_.encoding == Encoding::kMXFP4Split) {
      return {from_e8m0_half(static_cast<uint8_t>(group.scale)), 0, 0};
    }
    const float scale = float_of(view_.groups.type, group.scale);
    if (view_.encoding == Encoding::kF8_E4M3) return {scale, 0, 0};
    if (!view_.groups.biases.empty()) return {scale, 0, float_of(view_.groups.type, group.bias)};
    if (!view_.groups.zeros.empty()) return {scale, group.zero, 0};
    return {scale, 1 << (layout_of(view_).bits() - 1), 0};
  }

 private:
  const TensorView& view_;
  const GroupScaleRow row_;
};

// What scales a row of GGUF's blocks.
class BlockScalings {
 public:
  BlockScalings(const TensorView& view, int64_t row)
      : encoding_(view.encoding),
        layout_(layout_of(view)),
        elements_(block_elements(view.encoding)),
        bytes_(block_bytes(view.encoding)),
        part_columns_(kernels::records(layout_.scales).columns),
        row_(file_row(view, row)) {}

  // The 16 columns from `column` on. REQUIRES: columns are asked for in ascending order, the first
  // of each block included.
  Scaling at(int64_t column) {
    const auto within = static_cast<int>(column % elements_);
    if (within == 0) read_block(row_ + column / elements_ * bytes_);
    if (elements_ == kGroup) return {scale_, layout_.offset, min_};
    const int part = within / part_columns_;
    return {scale_ * static_cast<float>(scales_.small_scales[part]), layout_.offset,
            -(min_ * static_cast<float>(scales_.small_mins[part]))};
  }

 private:
  void read_block(const std::byte* block) {
    scales_ = read_block_scales(encoding_, block);
    scale_ = layout_.scales == kernels::Scales::kE8M0
                 ? from_e8m0_half(static_cast<uint8_t>(scales_.scale))
                 : from_f16(scales_.scale);
    min_ = from_f16(scales_.min);
  }

  const Encoding encoding_;
  const Layout& layout_;
  const int elements_;
  const int bytes_;
  const int part_columns_;
  const std::byte* const row_;
  BlockScales scales_;
  float scale_ = 0;
  float min_ = 0;
};

template <Values kValues, class Scalings>
void decode_codes(const TensorView& view, int64_t row, float* out) {
  const FileRows<1> rows(view, row, 1);
  Scalings scalings(view, row);
  for (int64_t k = 0; k < view.columns; k += kGroup) {
    Codes<1> quads;
    rows.read_codes(k / kGroup, quads);
    uint8_t codes[kGroup];
    std::memcpy(codes, quads, sizeof codes);
    for (int64_t half = k; half < std::min(k + kGroup, view.columns); half += kHalfGroup) {
      const Scaling scaling = scalings.at(half);
      const int64_t end = std::min(half + kHalfGroup, view.columns);
      for (int64_t j = half; j < end; ++j) {
        out[j] = scaling.apply(kernels::value_of_code(kValues, codes[j - k]));
      }
    }
  }
}

void decode_codes(const TensorView& view, int64_t row, float* out) {
  const bool groups = has_group_scales(view.encoding);
  switch (layout_of(view).values) {
    case Values::kIQ4:
      return decode_codes<Values::kIQ4, BlockScalings>(view, row, out);
    case Values::kFloat8:
      return decode_codes<Values::kFloat8, GroupScalings>(view, row, out);
    case Values::kE2M1:
      return groups ? decode_codes<Values::kE2M1, GroupScalings>(view, row, out)
                    : decode_codes<Values::kE2M1, BlockScalings>(view, row, out);
    default:
      return groups ? decode_codes<Values::kInteger, GroupScalings>(view, row, out)
                    : decode_codes<Values::kInteger, BlockScalings>(view, row, out);
  }
}

}  // namespace

void decode_row(const TensorView& view, int64_t row, float* out) {
  const std::byte* bytes = file_row(view, row);
  const auto half = [&](int64_t k) {
    uint16_t value;
    std::memcpy(&value, bytes + k * 2, sizeof value);
    return value;
  };
  switch (view.encoding) {
    case Encoding::kF32:
      std::memcpy(out, bytes, static_cast<size_t>(view.columns) * 4);
      return;
    case Encoding::kF16:
      for (int64_t k = 0; k < view.columns; ++k) out[k] = from_f16(half(k));
      return;
    case Encoding::kBF16:
      for (int64_t k = 0; k < view.columns; ++k) out[k] = from_bf16(half(k));
      return;
    default:
      decode_codes(view, row, out);
  }
}

void decode_tensor(const TensorView& view, float* out) {
  for (int64_t row = 0; row < view.rows; ++row) decode_row(view, row, out + row * view.columns);
}

}  // namespace hearth::engine
