#include "engine/tensor/file_blocks.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

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

// Eight bytes at a time: loading takes long enough to notice.
constexpr int kWord = 8;

constexpr uint64_t in_all_bytes(int value) { return 0x0101010101010101u * value; }

// codes[j] |= a field of byte j, placed at bit `to`; `count` is a multiple of 8.
void add_fields(const std::byte* bytes, int shift, int mask, int to, int count, uint8_t* codes) {
  for (int j = 0; j < count; j += kWord) {
    uint64_t word = load<uint64_t>(bytes + j) >> shift & in_all_bytes(mask);
    uint64_t so_far;
    std::memcpy(&so_far, codes + j, kWord);
    word = word << to | so_far;
    std::memcpy(codes + j, &word, kWord);
  }
}

// Byte j holds the numbers j and j + 16.
void add_nibble_halves(const std::byte* bytes, uint8_t* codes) {
  add_fields(bytes, 0, 15, 0, 16, codes);
  add_fields(bytes, 4, 15, 0, 16, codes + 16);
}

// Spreads eight numbers of kBits bits over the bytes of a word.
template <int kBits>
uint64_t spread(uint64_t word) {
  if constexpr (kBits == 8) return word;
  constexpr uint64_t kFour = (uint64_t{1} << (4 * kBits)) - 1;
  constexpr uint64_t kTwo = ((uint64_t{1} << (2 * kBits)) - 1) * 0x0000000100000001u;
  constexpr uint64_t kOne = ((uint64_t{1} << kBits) - 1) * 0x0001000100010001u;
  word = (word & kFour) | (word >> (4 * kBits) & kFour) << 32;
  word = (word & kTwo) | (word >> (2 * kBits) & kTwo) << 16;
  return (word & kOne) | (word >> kBits & kOne) << 8;
}

// Bit j of the word belongs to number j.
void add_fifth_bits(const std::byte* bytes, uint8_t* codes) {
  for (int j = 0; j < kGroup / kWord; ++j) {
    const uint64_t bits = spread<1>(byte_at(bytes + j));
    uint64_t so_far;
    std::memcpy(&so_far, codes + j * kWord, kWord);
    so_far |= bits << 4;
    std::memcpy(codes + j * kWord, &so_far, kWord);
  }
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

// kBits bytes, by two loads that may overlap.
template <int kBits>
uint64_t load_bytes(const std::byte* at) {
  if constexpr (kBits == 8) return load<uint64_t>(at);
  using Part = std::conditional_t<(kBits < 4), uint16_t, uint32_t>;
  constexpr int kSecond = kBits - static_cast<int>(sizeof(Part));
  return uint64_t{load<Part>(at)} | uint64_t{load<Part>(at + kSecond)} << (8 * kSecond);
}

// Numbers of kBits bits, from the lowest bit on.
template <int kBits>
void read_bit_stream(const std::byte* bytes, uint8_t* codes) {
  for (int j = 0; j < kGroup; j += kWord, bytes += kBits) {
    const uint64_t word = spread<kBits>(load_bytes<kBits>(bytes));
    std::memcpy(codes + j, &word, kWord);
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
  return view.bytes.data() + view.tensor_row(row) * bytes;
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
      for (int j = 0; j < kGroup; j += kWord) {
        const uint64_t word = load<uint64_t>(block + 2 + j) ^ in_all_bytes(0x80);
        std::memcpy(codes + j, &word, kWord);
      }
      return;
    case Encoding::kMXFP4:
      return add_nibble_halves(block + 1, codes);
    case Encoding::kMXFP4Split:
      return read_bit_stream<4>(block, codes);
    case Encoding::kF8_E4M3: {
      const int64_t count = std::min<int64_t>(kGroup, view.columns - group * kGroup);
      std::memcpy(codes, block, static_cast<size_t>(count));
      return;
    }
    case Encoding::kInt2:
      return read_bit_stream<2>(block, codes);
    case Encoding::kInt3:
      return read_bit_stream<3>(block, codes);
    case Encoding::kInt4:
      return read_bit_stream<4>(block, codes);
    case Encoding::kInt5:
      return read_bit_stream<5>(block, codes);
    case Encoding::kInt6:
      return read_bit_stream<6>(block, codes);
    case Encoding::kInt8:
      return read_bit_stream<8>(block, codes);
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

GroupScaleRow::GroupScaleRow(const TensorView& view, int64_t row) : groups_(view.groups) {
  const int64_t tensor_row = view.tensor_row(row);
  const int64_t per_row = (view.columns + groups_.columns - 1) / groups_.columns;
  width_ = view.encoding == Encoding::kMXFP4Split ? 1 : groups_.type == Encoding::kF32 ? 4 : 2;
  first_group_ = tensor_row / groups_.rows * per_row;
  const int bits = std::max(block_bytes(view.encoding) / 4, 1);
  const int in_word = 32 / bits;
  first_word_ = tensor_row / in_word * per_row;
  zero_shift_ = static_cast<int>(tensor_row % in_word) * bits;
  zero_mask_ = (1u << bits) - 1;
}

GroupScale GroupScaleRow::at(int64_t column) const {
  const int64_t group = column / groups_.columns;
  const size_t at = static_cast<size_t>(first_group_ + group) * width_;
  GroupScale result;
  std::memcpy(&result.scale, groups_.scales.data() + at, width_);
  if (!groups_.biases.empty()) std::memcpy(&result.bias, groups_.biases.data() + at, width_);
  if (!groups_.zeros.empty()) {
    const auto zeros = load<uint32_t>(groups_.zeros.data() + (first_word_ + group) * 4);
    result.zero = static_cast<uint8_t>(zeros >> zero_shift_ & zero_mask_);
  }
  return result;
}

}  // namespace hearth::engine
