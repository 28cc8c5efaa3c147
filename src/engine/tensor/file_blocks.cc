#include "engine/tensor/file_blocks.h"

#include <algorithm>
#include <cstring>

namespace hearth::engine {
namespace {

constexpr int kGroup = 32;

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint8_t byte_at(const std::byte* at) { return static_cast<uint8_t>(*at); }

// codes[j] |= a field of byte j, placed at bit `to`
void add_fields(const std::byte* bytes, int shift, int mask, int to, int count, uint8_t* codes) {
  for (int j = 0; j < count; ++j) {
    codes[j] |= static_cast<uint8_t>((byte_at(bytes + j) >> shift & mask) << to);
  }
}

// Byte j holds the numbers j and j + 16.
void add_nibble_halves(const std::byte* bytes, uint8_t* codes) {
  add_fields(bytes, 0, 15, 0, 16, codes);
  add_fields(bytes, 4, 15, 0, 16, codes + 16);
}

// Bit j of the word belongs to number j.
void add_fifth_bits(const std::byte* bytes, uint8_t* codes) {
  const auto bits = load<uint32_t>(bytes);
  for (int j = 0; j < kGroup; ++j) codes[j] |= static_cast<uint8_t>((bits >> j & 1) << 4);
}

// `group`: of the eight of a block of 256.
void add_k_codes(Encoding encoding, const std::byte* block, int group, uint8_t* codes) {
  const int half = group / 4;  // of 128 numbers
  const int part = group % 4;  // of 32
  switch (encoding) {
    case Encoding::kQ2_K:
      return add_fields(block + 16 + half * 32, part * 2, 3, 0, kGroup, codes);
    case Encoding::kQ3_K:
      add_fields(block + 32 + half * 32, part * 2, 3, 0, kGroup, codes);
      return add_fields(block, group, 1, 2, kGroup, codes);
    case Encoding::kQ4_K:
      return add_fields(block + 16 + group / 2 * 32, group % 2 * 4, 15, 0, kGroup, codes);
    case Encoding::kQ5_K:
      add_fields(block + 48 + group / 2 * 32, group % 2 * 4, 15, 0, kGroup, codes);
      return add_fields(block + 16, group, 1, 4, kGroup, codes);
    case Encoding::kQ6_K:
      add_fields(block + half * 64 + part % 2 * 32, part / 2 * 4, 15, 0, kGroup, codes);
      return add_fields(block + 128 + half * 32, part * 2, 3, 4, kGroup, codes);
    default:  // IQ4_XS
      return add_nibble_halves(block + 8 + group * 16, codes);
  }
}

// Numbers of `bits` bits, from the lowest bit on.
void add_bit_stream(const std::byte* bytes, int bits, uint8_t* codes) {
  uint64_t window = 0;
  int available = 0;
  for (int j = 0; j < kGroup; ++j) {
    while (available < bits) {
      window |= uint64_t{byte_at(bytes++)} << available;
      available += 8;
    }
    codes[j] = static_cast<uint8_t>(window & ((1u << bits) - 1));
    window >>= bits;
    available -= bits;
  }
}

void add_neighbours(const std::byte* bytes, uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[2 * j] = byte_at(bytes + j) & 15;
    codes[2 * j + 1] = byte_at(bytes + j) >> 4;
  }
}

// Scale and min `i` of Q4_K's and Q5_K's eight, six bits each in twelve bytes.
void read_six_bit_pair(const std::byte* bytes, int i, BlockScales* out) {
  const auto at = [&](int j) { return byte_at(bytes + j); };
  const bool low = i < 4;
  const int scale = low ? at(i) & 63 : (at(i + 4) & 15) | (at(i - 4) >> 6) << 4;
  const int min = low ? at(i + 4) & 63 : at(i + 4) >> 4 | (at(i) >> 6) << 4;
  out->small_scales[i] = static_cast<int8_t>(scale);
  out->small_mins[i] = static_cast<uint8_t>(min);
}

// Scale i of Q3_K's sixteen: four low bits in the first eight bytes, two high bits in the last
// four.
int8_t read_q3_scale(const std::byte* bytes, int i) {
  const int low = byte_at(bytes + i % 8) >> (i / 8 * 4) & 15;
  const int high = byte_at(bytes + 8 + i % 4) >> (i / 4 * 2) & 3;
  return static_cast<int8_t>((low | high << 4) - 32);
}

// Scale i of IQ4_XS's eight.
int8_t read_iq4_scale(const std::byte* block, int i) {
  const int low = byte_at(block + 4 + i / 2) >> (i % 2 * 4) & 15;
  const int high = load<uint16_t>(block + 2) >> (i * 2) & 3;
  return static_cast<int8_t>((low | high << 4) - 32);
}

}  // namespace

const std::byte* file_row(const TensorView& view, int64_t row) {
  const int64_t bytes = view.columns / block_elements(view.encoding) * block_bytes(view.encoding);
  return view.bytes.data() + (view.first_row + row * view.row_step) * bytes;
}

void read_codes(const TensorView& view, int64_t row, int64_t group, uint8_t (&codes)[32]) {
  const std::byte* bytes = file_row(view, row);
  const int elements = block_elements(view.encoding);
  const std::byte* block = bytes + group * kGroup / elements * block_bytes(view.encoding);
  std::memset(codes, 0, sizeof codes);
  switch (view.encoding) {
    case Encoding::kQ4_0:
    case Encoding::kIQ4_NL:
      return add_nibble_halves(block + 2, codes);
    case Encoding::kQ4_1:
      return add_nibble_halves(block + 4, codes);
    case Encoding::kQ5_0:
      add_nibble_halves(block + 6, codes);
      return add_fifth_bits(block + 2, codes);
    case Encoding::kQ5_1:
      add_nibble_halves(block + 8, codes);
      return add_fifth_bits(block + 4, codes);
    case Encoding::kQ8_0:
      for (int j = 0; j < kGroup; ++j) codes[j] = byte_at(block + 2 + j) ^ 0x80;
      return;
    case Encoding::kMXFP4:
      return add_nibble_halves(block + 1, codes);
    case Encoding::kMXFP4Split:
      return add_neighbours(block, codes);
    case Encoding::kF8_E4M3: {
      const int64_t count = std::min<int64_t>(kGroup, view.columns - group * kGroup);
      std::memcpy(codes, block, static_cast<size_t>(count));
      return;
    }
    case Encoding::kInt2:
    case Encoding::kInt3:
    case Encoding::kInt4:
    case Encoding::kInt5:
    case Encoding::kInt6:
    case Encoding::kInt8:
      return add_bit_stream(block, block_bytes(view.encoding) / 4, codes);
    default:
      return add_k_codes(view.encoding, block, static_cast<int>(group % 8), codes);
  }
}

BlockScales read_block_scales(Encoding encoding, const std::byte* block) {
  BlockScales scales;
  const auto halves = [&](int scale, int min) {
    scales.scale = load<uint16_t>(block + scale);
    if (min >= 0) scales.min = load<uint16_t>(block + min);
  };
  switch (encoding) {
    case Encoding::kQ4_1:
    case Encoding::kQ5_1:
      halves(0, 2);
      break;
    case Encoding::kQ2_K:
      halves(80, 82);
      for (int i = 0; i < 16; ++i) {
        scales.small_scales[i] = static_cast<int8_t>(byte_at(block + i) & 15);
        scales.small_mins[i] = byte_at(block + i) >> 4;
      }
      break;
    case Encoding::kQ3_K:
      halves(108, -1);
      for (int i = 0; i < 16; ++i) scales.small_scales[i] = read_q3_scale(block + 96, i);
      break;
    case Encoding::kQ4_K:
    case Encoding::kQ5_K:
      halves(0, 2);
      for (int i = 0; i < 8; ++i) read_six_bit_pair(block + 4, i, &scales);
      break;
    case Encoding::kQ6_K:
      halves(208, -1);
      std::memcpy(scales.small_scales, block + 192, 16);
      break;
    case Encoding::kIQ4_XS:
      halves(0, -1);
      for (int i = 0; i < 8; ++i) scales.small_scales[i] = read_iq4_scale(block, i);
      break;
    case Encoding::kMXFP4:
      scales.scale = byte_at(block);
      break;
    default:
      halves(0, -1);
  }
  return scales;
}

GroupScale read_group_scale(const TensorView& view, int64_t row, int64_t column) {
  const GroupScales& groups = view.groups;
  const int64_t tensor_row = view.first_row + row * view.row_step;
  const int64_t per_row = (view.columns + groups.columns - 1) / groups.columns;
  const int64_t group = column / groups.columns;
  const int64_t at = tensor_row / groups.rows * per_row + group;
  GroupScale result;
  if (view.encoding == Encoding::kMXFP4Split) {
    result.scale = byte_at(groups.scales.data() + at);
    return result;
  }
  const size_t width = groups.type == Encoding::kF32 ? 4 : 2;
  std::memcpy(&result.scale, groups.scales.data() + at * width, width);
  if (!groups.biases.empty()) {
    std::memcpy(&result.bias, groups.biases.data() + at * width, width);
  }
  if (!groups.zeros.empty()) {
    const int bits = block_bytes(view.encoding) / 4;
    const int in_word = 32 / bits;
    const int64_t word = tensor_row / in_word * per_row + group;
    const auto zeros = load<uint32_t>(groups.zeros.data() + word * 4);
    result.zero = static_cast<uint8_t>(zeros >> (tensor_row % in_word * bits) & ((1u << bits) - 1));
  }
  return result;
}

}  // namespace hearth::engine
