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

// What scales the 16 columns from `column` on, in tensors with GroupScales.
Scaling group_scaling(const TensorView& view, int64_t row, int64_t column) {
  const GroupScale group = GroupScaleRow(view, row).at(column);
  if (view.encoding == Encoding::kMXFP4Split) {
    return {from_e8m0_half(static_cast<uint8_t>(group.scale)), 0, 0};
  }
  const float scale = float_of(view.groups.type, group.scale);
  if (view.encoding == Encoding::kF8_E4M3) return {scale, 0, 0};
  if (!view.groups.biases.empty()) return {scale, 0, float_of(view.groups.type, group.bias)};
  if (!view.groups.zeros.empty()) return {scale, group.zero, 0};
  const int bits = kLayouts[static_cast<int>(view.encoding)].bits();
  return {scale, 1 << (bits - 1), 0};
}

// The same for GGUF's blocks.
Scaling block_scaling(const TensorView& view, int64_t row, int64_t column) {
  const Layout& layout = kLayouts[static_cast<int>(view.encoding)];
  const int elements = block_elements(view.encoding);
  const std::byte* block = file_row(view, row) + column / elements * block_bytes(view.encoding);
  const BlockScales scales = read_block_scales(view.encoding, block);
  if (view.encoding == Encoding::kMXFP4) {
    return {from_e8m0_half(static_cast<uint8_t>(scales.scale)), 0, 0};
  }
  const float scale = from_f16(scales.scale);
  const float min = from_f16(scales.min);
  if (elements == kGroup) return {scale, layout.offset, min};
  const bool halves =
      layout.scales == kernels::Scales::kSmall16 || layout.scales == kernels::Scales::kNibblesMin16;
  const auto part = static_cast<int>(column % elements / (halves ? kHalfGroup : kGroup));
  return {scale * static_cast<float>(scales.small_scales[part]), layout.offset,
          -(min * static_cast<float>(scales.small_mins[part]))};
}

void decode_codes(const TensorView& view, int64_t row, float* out) {
  const Layout& layout = kLayouts[static_cast<int>(view.encoding)];
  const FileRows<1> rows(view, row, 1);
  for (int64_t k = 0; k < view.columns; k += kGroup) {
    Codes<1> quads;
    rows.read_codes(k / kGroup, quads);
    uint8_t codes[kGroup];
    std::memcpy(codes, quads, sizeof codes);
    for (int64_t half = k; half < std::min(k + kGroup, view.columns); half += kHalfGroup) {
      const Scaling scaling = has_group_scales(view.encoding) ? group_scaling(view, row, half)
                                                              : block_scaling(view, row, half);
      const int64_t end = std::min(half + kHalfGroup, view.columns);
      for (int64_t j = half; j < end; ++j) {
        out[j] = scaling.apply(value_of_code(layout.values, codes[j - k]));
      }
    }
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
