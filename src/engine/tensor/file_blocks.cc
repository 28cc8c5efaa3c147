#include "engine/tensor/file_blocks.h"

#include <algorithm>
#include <cstring>

#include "engine/formats/encoding.h"
#include "engine/kernels/layout.h"

namespace hearth::engine {
namespace {

using kernels::kGroup;

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// A number of `width` bytes: 1, 2 or 4.
uint32_t load_bits(const std::byte* at, int width) {
  return width == 4 ? load<uint32_t>(at) : width == 2 ? load<uint16_t>(at) : load<uint8_t>(at);
}

uint8_t byte_at(const std::byte* at) { return static_cast<uint8_t>(*at); }

constexpr uint32_t in_all_bytes(uint32_t value) { return 0x01010101u * value; }

// Processors foresee one row that is read after another, but sixteen side by side only once they
// have gone on for a while. So much of each row is asked for beforehand.
constexpr int64_t kEarlyBytes = 4096;
constexpr int64_t kLine = 64;

// Everything below computes on a dword of every lane at once, in loops that compilers turn into
// vector instructions: loading takes long enough to notice.
template <int kLanes>
using Dword = uint32_t[kLanes];

// A block of each lane.
template <int kLanes>
struct Blocks {
  const std::byte* at[kLanes];

  // The dwords from byte `from` of the blocks on.
  template <int kCount>
  void load(int from, Dword<kLanes> (&out)[kCount]) const {
    constexpr int kSquares = kLanes % 4 == 0 ? kCount / 4 * 4 : 0;
    for (int n = 0; n < kLanes; ++n) {
      if (n % 4 == 0) {
        for (int j = 0; j < kSquares; j += 4) load_square(n, from + 4 * j, out + j);
      }
      for (int j = kSquares; j < kCount; ++j) {
        out[j][n] = engine::load<uint32_t>(at[n] + from + 4 * j);
      }
    }
  }

 private:
  // Four dwords of the lanes n to n + 3.
  void load_square(int n, int from, Dword<kLanes>* out) const {
    using Four = uint32_t __attribute__((vector_size(16)));
    const auto row = [&](int i) { return engine::load<Four>(at[n + i] + from); };
    const auto store = [&](int j, Four dwords) { std::memcpy(&out[j][n], &dwords, sizeof dwords); };
    const Four low02 = __builtin_shufflevector(row(0), row(2), 0, 4, 1, 5);
    const Four low13 = __builtin_shufflevector(row(1), row(3), 0, 4, 1, 5);
    const Four high02 = __builtin_shufflevector(row(0), row(2), 2, 6, 3, 7);
    const Four high13 = __builtin_shufflevector(row(1), row(3), 2, 6, 3, 7);
    store(0, __builtin_shufflevector(low02, low13, 0, 4, 1, 5));
    store(1, __builtin_shufflevector(low02, low13, 2, 6, 3, 7));
    store(2, __builtin_shufflevector(high02, high13, 0, 4, 1, 5));
    store(3, __builtin_shufflevector(high02, high13, 2, 6, 3, 7));
  }
};

// codes[j] = a field of each byte of dword j, placed at bit `to`; added to what is there if kAdd.
template <bool kAdd, int kLanes, int kCount>
void put_fields(const Dword<kLanes> (&dwords)[kCount], int shift, uint32_t mask, int to,
                Dword<kLanes>* codes) {
  for (int j = 0; j < kCount; ++j) {
    for (int n = 0; n < kLanes; ++n) {
      const uint32_t field = (dwords[j][n] >> shift & in_all_bytes(mask)) << to;
      codes[j][n] = kAdd ? codes[j][n] | field : field;
    }
  }
}

// Fields of 32 bytes of the blocks, the codes' lowest bits.
template <int kLanes>
void set_low_bits(const Blocks<kLanes>& blocks, int from, int shift, uint32_t mask,
                  Codes<kLanes>& codes) {
  Dword<kLanes> dwords[8];
  blocks.load(from, dwords);
  put_fields<false>(dwords, shift, mask, 0, codes);
}

// The same, the codes' bits from bit `to` on.
template <int kLanes>
void add_high_bits(const Blocks<kLanes>& blocks, int from, int shift, uint32_t mask, int to,
                   Codes<kLanes>& codes) {
  Dword<kLanes> dwords[8];
  blocks.load(from, dwords);
  put_fields<true>(dwords, shift, mask, to, codes);
}

// Byte j of 16 holds the numbers j and j + 16.
template <int kLanes>
void set_nibble_halves(const Blocks<kLanes>& blocks, int from, Codes<kLanes>& codes) {
  Dword<kLanes> dwords[4];
  blocks.load(from, dwords);
  put_fields<false>(dwords, 0, 15, 0, codes);
  put_fields<false>(dwords, 4, 15, 0, codes + 4);
}

// Bit j of a dword belongs to number j. The product puts the bits of a nibble into a byte each.
template <int kLanes>
void add_fifth_bits(const Blocks<kLanes>& blocks, int from, Codes<kLanes>& codes) {
  Dword<kLanes> bits[1];
  blocks.load(from, bits);
  for (int j = 0; j < 8; ++j) {
    for (int n = 0; n < kLanes; ++n) {
      codes[j][n] |= ((bits[0][n] >> 4 * j & 15) * 0x00204081u & in_all_bytes(1)) << 4;
    }
  }
}

// Part `part` of the eight of blocks of 256.
template <int kLanes>
void read_k_codes(Encoding encoding, const Blocks<kLanes>& blocks, int part, Codes<kLanes>& codes) {
  const int half = part / 4;     // of 128 numbers
  const int quarter = part % 4;  // of that, 32
  switch (encoding) {
    case Encoding::kQ2_K:
      return set_low_bits(blocks, 16 + half * 32, quarter * 2, 3, codes);
    case Encoding::kQ3_K:
      set_low_bits(blocks, 32 + half * 32, quarter * 2, 3, codes);
      return add_high_bits(blocks, 0, part, 1, 2, codes);
    case Encoding::kQ4_K:
      return set_low_bits(blocks, 16 + part / 2 * 32, part % 2 * 4, 15, codes);
    case Encoding::kQ5_K:
      set_low_bits(blocks, 48 + part / 2 * 32, part % 2 * 4, 15, codes);
      return add_high_bits(blocks, 16, part, 1, 4, codes);
    case Encoding::kQ6_K:
      set_low_bits(blocks, half * 64 + quarter % 2 * 32, quarter / 2 * 4, 15, codes);
      return add_high_bits(blocks, 128 + half * 32, quarter * 2, 3, 4, codes);
    default:  // IQ4_XS
      return set_nibble_halves(blocks, 8 + part * 16, codes);
  }
}

// Spreads four numbers of kBits bits over the bytes of a dword.
template <int kBits>
uint32_t spread(uint32_t dword) {
  constexpr uint32_t kTwo = (1u << (2 * kBits)) - 1;
  constexpr uint32_t kOne = ((1u << kBits) - 1) * 0x00010001u;
  dword = (dword & kTwo) | (dword >> (2 * kBits) & kTwo) << 16;
  return (dword & kOne) | (dword >> kBits & kOne) << 8;
}

// Numbers of kBits bits, from the lowest bit on.
template <int kBits, int kLanes>
void read_bit_stream(const Blocks<kLanes>& blocks, Codes<kLanes>& codes) {
  Dword<kLanes> dwords[kBits];
  blocks.load(0, dwords);
  for (int j = 0; j < 8; ++j) {
    const int word = j * kBits / 8;
    const int shift = j * kBits % 8 * 4;
    const bool crosses = shift + 4 * kBits > 32;
    for (int n = 0; n < kLanes; ++n) {
      uint32_t bits = dwords[word][n] >> shift;
      if (crosses) bits |= dwords[word + 1][n] << (32 - shift);
      codes[j][n] = spread<kBits>(bits);
    }
  }
}

template <int kLanes>
void read_block_codes(Encoding encoding, const Blocks<kLanes>& blocks, int part,
                      Codes<kLanes>& codes) {
  switch (encoding) {
    case Encoding::kQ4_0:
    case Encoding::kIQ4_NL:
      return set_nibble_halves(blocks, 2, codes);
    case Encoding::kQ4_1:
      return set_nibble_halves(blocks, 4, codes);
    case Encoding::kQ5_0:
      set_nibble_halves(blocks, 6, codes);
      return add_fifth_bits(blocks, 2, codes);
    case Encoding::kQ5_1:
      set_nibble_halves(blocks, 8, codes);
      return add_fifth_bits(blocks, 4, codes);
    case Encoding::kQ8_0:
      blocks.load(2, codes);
      for (auto& dwords : codes) {
        for (uint32_t& dword : dwords) dword ^= in_all_bytes(0x80);
      }
      return;
    case Encoding::kMXFP4:
      return set_nibble_halves(blocks, 1, codes);
    case Encoding::kInt2:
      return read_bit_stream<2>(blocks, codes);
    case Encoding::kInt3:
      return read_bit_stream<3>(blocks, codes);
    case Encoding::kMXFP4Split:
    case Encoding::kInt4:
      return read_bit_stream<4>(blocks, codes);
    case Encoding::kInt5:
      return read_bit_stream<5>(blocks, codes);
    case Encoding::kInt6:
      return read_bit_stream<6>(blocks, codes);
    case Encoding::kInt8:
      return blocks.load(0, codes);
    default:
      return read_k_codes(encoding, blocks, part, codes);
  }
}

// Four numbers of six bits: four low bits of each byte of `lows`, two of `highs`.
uint32_t join(uint32_t lows, uint32_t highs) {
  return (lows & in_all_bytes(15)) | (highs & in_all_bytes(3)) << 4;
}

// Q4_K's and Q5_K's eight scales and eight mins, six bits each in twelve bytes.
void read_six_bit_pairs(const std::byte* bytes, BlockScales* out) {
  const auto first = load<uint32_t>(bytes);
  const auto second = load<uint32_t>(bytes + 4);
  const auto third = load<uint32_t>(bytes + 8);
  const uint32_t scales[2] = {first & in_all_bytes(63), join(third, first >> 6)};
  const uint32_t mins[2] = {second & in_all_bytes(63), join(third >> 4, second >> 6)};
  std::memcpy(out->small_scales, scales, sizeof scales);
  std::memcpy(out->small_mins, mins, sizeof mins);
}

// Q3_K's sixteen scales: four low bits in the first eight bytes, two high bits in the last four.
void read_q3_scales(const std::byte* bytes, BlockScales* out) {
  const auto first = load<uint32_t>(bytes);
  const auto second = load<uint32_t>(bytes + 4);
  const auto highs = load<uint32_t>(bytes + 8);
  const uint32_t scales[4] = {join(first, highs), join(second, highs >> 2),
                              join(first >> 4, highs >> 4), join(second >> 4, highs >> 6)};
  std::memcpy(out->small_scales, scales, sizeof scales);
  for (int8_t& scale : out->small_scales) scale = static_cast<int8_t>(scale - 32);
}

// Scale i of IQ4_XS's eight.
int8_t read_iq4_scale(const std::byte* block, int i) {
  const int low = byte_at(block + 4 + i / 2) >> (i % 2 * 4) & 15;
  const int high = load<uint16_t>(block + 2) >> (i * 2) & 3;
  return static_cast<int8_t>((low | high << 4) - 32);
}

}  // namespace

const std::byte* file_row(const TensorView& view, int64_t row) {
  return bytes_of_rows(view, row, row + 1).data();
}

template <int kLanes>
FileRows<kLanes>::FileRows(const TensorView& view, int64_t first, int count)
    : encoding_(view.encoding),
      row_bytes_(static_cast<int64_t>(bytes_of_rows(view, first, first + 1).size())),
      count_(count) {
  const int64_t early = std::min(row_bytes_, kEarlyBytes);
  for (int n = 0; n < kLanes; ++n) {
    rows_[n] = file_row(view, first + std::min(n, count - 1));
    for (int64_t at = 0; at < early; at += kLine) __builtin_prefetch(rows_[n] + at);
  }
}

template <int kLanes>
void FileRows<kLanes>::read_codes(int64_t group, Codes<kLanes>& codes) const {
  // The other encodings' rows end where a group does.
  if (encoding_ == Encoding::kF8_E4M3) return read_bytes(group * kGroup, codes);
  const int64_t offset = group * kGroup / block_elements(encoding_) * block_bytes(encoding_);
  Blocks<kLanes> blocks;
  for (int n = 0; n < kLanes; ++n) blocks.at[n] = rows_[n] + offset;
  read_block_codes(encoding_, blocks, static_cast<int>(group % 8), codes);
  clear_unused(codes);
}

template <int kLanes>
void FileRows<kLanes>::read_bytes(int64_t at, Codes<kLanes>& bytes) const {
  const int64_t left = row_bytes_ - at;
  std::byte tails[kLanes][kReadBytes];
  Blocks<kLanes> blocks;
  for (int n = 0; n < kLanes; ++n) {
    blocks.at[n] = rows_[n] + at;
    if (left >= kReadBytes) continue;
    std::memset(tails[n], 0, sizeof tails[n]);
    std::memcpy(tails[n], blocks.at[n], static_cast<size_t>(left));
    blocks.at[n] = tails[n];
  }
  blocks.load(0, bytes);
  clear_unused(bytes);
}

template <int kLanes>
void FileRows<kLanes>::clear_unused(Codes<kLanes>& codes) const {
  if (count_ == kLanes) return;
  for (auto& dwords : codes) std::fill(dwords + count_, dwords + kLanes, 0);
}

template class FileRows<1>;
template class FileRows<kernels::kBlockRows>;

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
      read_q3_scales(block + 96, &scales);
      break;
    case Encoding::kQ4_K:
    case Encoding::kQ5_K:
      halves(0, 2);
      read_six_bit_pairs(block + 4, &scales);
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
  const int64_t per_row = (view.row_columns() + groups_.columns - 1) / groups_.columns;
  const int64_t first_group = view.first_column / groups_.columns;
  const int64_t first = tensor_row / groups_.rows * per_row + first_group;
  width_ = view.encoding == Encoding::kMXFP4Split ? 1 : groups_.type == Encoding::kF32 ? 4 : 2;
  scales_ = groups_.scales.data() + first * width_;
  if (!groups_.biases.empty()) biases_ = groups_.biases.data() + first * width_;
  if (groups_.zeros.empty()) return;
  const int bits = block_bytes(view.encoding) / 4;
  const int in_word = 32 / bits;
  zeros_ = groups_.zeros.data() + (tensor_row / in_word * per_row + first_group) * 4;
  zero_shift_ = static_cast<int>(tensor_row % in_word) * bits;
  zero_mask_ = (1u << bits) - 1;
}

uint8_t GroupScaleRow::zero(int64_t group) const {
  return static_cast<uint8_t>(load<uint32_t>(zeros_ + group * 4) >> zero_shift_ & zero_mask_);
}

GroupScale GroupScaleRow::at(int64_t column) const {
  const int64_t group = column / groups_.columns;
  GroupScale result;
  result.scale = load_bits(scales_ + group * width_, width_);
  if (biases_ != nullptr) result.bias = load_bits(biases_ + group * width_, width_);
  if (zeros_ != nullptr) result.zero = zero(group);
  return result;
}

}  // namespace hearth::engine
