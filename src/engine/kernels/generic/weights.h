// How packed weights (layout.h) come into registers, over simd.h, which is included first. Every
// encoding is put together here, at compile time, from its row of kLayouts.
#pragma once

#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE {
namespace {

// Fetches weights ahead of their use, in the order of their addresses. The planes of codes and the
// scales of a group lie apart; were each fetched where it is read, what lies at the end of a plane
// would never be, and memory would be read in turns at places far from each other.
//
// One row takes weights as fast as memory gives them: they are fetched into the first-level cache,
// at the distance that hides the memory's latency at full rate. Several rows of integers compute
// for longer than they read, and their activations fill the first-level cache: weights are fetched
// from further away (kFar) into the second-level cache.
template <int kBlocks, bool kFar>
class Ahead {
 public:
  // kBlocks blocks that are read side by side, `step` bytes of each at a time; the next ones
  // follow.
  HEARTH_INLINE Ahead(const MatmulArgs& args, const std::byte* block, int64_t step)
      : step_(step),
        others_((kBlocks - 1) * args.block_bytes),
        left_(args.block_bytes - kBytes % args.block_bytes),
        at_(block + kBytes + kBytes / args.block_bytes * others_) {}

  // Once for each step.
  HEARTH_INLINE void fetch() {
    for (int b = 0; b < kBlocks; ++b) {
      const std::byte* at = b == 0 ? at_ : at_ + others_;
      for (int64_t line = 0; line < step_; line += 64) {
        if constexpr (kFar) {
          prefetch_far(at + line);
        } else {
          prefetch(at + line);
        }
      }
    }
    at_ += step_;
    if constexpr (kBlocks > 1) {
      left_ -= step_;
      if (left_ > 0) return;
      at_ += others_;
      left_ += others_;
    }
  }

 private:
  static_assert(kBlocks <= 2);
  static constexpr int64_t kBytes = kFar ? 32768 : 16384 / kBlocks;  // ahead, of each block

  int64_t step_;
  int64_t others_;  // bytes of the other blocks
  int64_t left_;    // of the block that is being fetched
  const std::byte* at_;
};

// What a group of a block takes, scales included, on average.
HEARTH_SIMD int64_t group_bytes(const MatmulArgs& args) {
  return args.block_bytes / (args.columns / kGroup);
}

// Plain floats: load() gives kStep columns, kBytes, from column k on, for 16 rows.

struct WeightsF32 {
  static constexpr int kStep = 2;
  static constexpr int kBytes = 128;
  HEARTH_SIMD void load(const std::byte* block, int64_t k, F32x16 (&w)[kStep]) {
    const auto* at = reinterpret_cast<const float*>(block) + k * kBlockRows;
    w[0] = HEARTH_ISA_NAMESPACE::load(at);
    w[1] = HEARTH_ISA_NAMESPACE::load(at + kBlockRows);
  }
};

struct WeightsF16 {
  static constexpr int kStep = 2;
  static constexpr int kBytes = 64;
  HEARTH_SIMD void load(const std::byte* block, int64_t k, F32x16 (&w)[kStep]) {
    w[0] = load_f16(block + k * 32);
    w[1] = load_f16(block + k * 32 + 32);
  }
};

struct WeightsBF16 {
  static constexpr int kStep = 2;
  static constexpr int kBytes = 64;
  HEARTH_SIMD void load(const std::byte* block, int64_t k, F32x16 (&w)[kStep]) {
    load_bf16_pairs(block + k * 32, w[0], w[1]);
  }
};

// Four columns, a byte each, of 16 rows: quad kQuad (0 .. 7) of a group of 32 columns, from a plane
// of kBits bits, which go to bit kTo of the bytes.
template <int kBits, int kTo, int kQuad>
HEARTH_SIMD I32x16 load_quad(const std::byte* plane, int64_t group) {
  constexpr int kPerVector = 8 / kBits;
  const std::byte* at = plane + (group * kBits + kQuad / kPerVector) * 64;
  const I32x16 vector = load_int(at);
  if constexpr (kBits == 8) return vector;
  constexpr int kMask = ((1 << kBits) - 1) << kTo;
  return byte_field<kQuad % kPerVector * kBits - kTo, kMask>(vector);
}

// A codebook with kOffset added, which makes its numbers unsigned.
template <int kOffset>
struct Codebook {
  uint8_t bytes[16];
  constexpr explicit Codebook(const int8_t (&values)[16]) : bytes() {
    for (int i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>(values[i] + kOffset);
  }
};
constexpr int kIQ4Offset = 128;
constexpr int kE2M1Offset = 12;
constexpr Codebook<kIQ4Offset> kIQ4Book(kIQ4Values);
constexpr Codebook<kE2M1Offset> kE2M1Book(kE2M1Values);

// A chapter of a block, as layout.h says.
struct Chapter {
  const std::byte* data;
  int64_t columns;
  GroupFormat groups;
};
// The one that column k is in.
template <Layout kLayout>
HEARTH_SIMD Chapter chapter_of(const MatmulArgs& args, const std::byte* block, int64_t k) {
  return {block + chapter_at(kLayout, args.groups, k), chapter_columns(args.columns, k),
          args.groups};
}

// `group` counts from a chapter's first in what follows.

// The codes of an encoding as unsigned bytes up to kMax, kOffset more than the numbers they stand
// for.
template <Layout kLayout>
struct Codes {
  static constexpr int kOffset = kLayout.values == Values::kIQ4    ? kIQ4Offset
                                 : kLayout.values == Values::kE2M1 ? kE2M1Offset
                                                                   : kLayout.offset;
  static constexpr int kMax = kLayout.values == Values::kIQ4    ? kIQ4Values[15] + kIQ4Offset
                              : kLayout.values == Values::kE2M1 ? 2 * kE2M1Offset
                                                                : (1 << kLayout.bits()) - 1;
  // The offset of what dot products make of the bytes.
  static constexpr int kDotOffset = kOffset - dot_taken_off(kMax);
  // As they are stored.
  template <int kQuad>
  HEARTH_SIMD I32x16 stored_quad(const Chapter& chapter, int64_t group) {
    const I32x16 low = load_quad<kLayout.low_bits, 0, kQuad>(chapter.data, group);
    if constexpr (kLayout.high_bits == 0) {
      return low;
    } else {
      const std::byte* high = chapter.data + plane_bytes(kLayout.low_bits, chapter.columns);
      return either(low, load_quad<kLayout.high_bits, kLayout.low_bits, kQuad>(high, group));
    }
  }
  template <int kQuad>
  HEARTH_SIMD I32x16 quad(const Chapter& chapter, int64_t group) {
    I32x16 bytes = stored_quad<kQuad>(chapter, group);
    if constexpr (kLayout.values == Values::kIQ4) bytes = lookup(kIQ4Book.bytes, bytes);
    if constexpr (kLayout.values == Values::kE2M1) bytes = lookup(kE2M1Book.bytes, bytes);
    return bytes;
  }
  // Step kStep of a group, as dot products take it.
  template <int kStep>
  HEARTH_SIMD DotWeights step(const Chapter& chapter, int64_t group) {
    if constexpr (kStepColumns == 4) {
      return dot_weights<kMax>(quad<kStep>(chapter, group));
    } else {
      return dot_weights<kMax>(quad<2 * kStep>(chapter, group),
                               quad<2 * kStep + 1>(chapter, group));
    }
  }
  // A quad as floats, offset taken off.
  template <int kQuad>
  HEARTH_SIMD void floats(const Chapter& chapter, int64_t group, F32x16 (&w)[4]) {
    const I32x16 bytes = quad<kQuad>(chapter, group);
    if constexpr (kLayout.values == Values::kFloat8) {
      w[0] = e4m3_floats<0>(bytes);
      w[1] = e4m3_floats<1>(bytes);
      w[2] = e4m3_floats<2>(bytes);
      w[3] = e4m3_floats<3>(bytes);
    } else {
      w[0] = to_float(field<0, 255>(bytes));
      w[1] = to_float(field<8, 255>(bytes));
      w[2] = to_float(field<16, 255>(bytes));
      w[3] = to_float(field<24, 255>(bytes));
      if constexpr (kOffset != 0) {
        for (F32x16& x : w) x = sub(x, set1(kOffset));
      }
    }
  }
};

HEARTH_SIMD F32x16 load_group_floats(GroupFloat type, const std::byte* at) {
  switch (type) {
    case GroupFloat::kF16:
      return load_f16(at);
    case GroupFloat::kBF16:
      return load_bf16(at);
    default:
      return load(reinterpret_cast<const float*>(at));
  }
}

// What scales the codes: a weight is scale() * (number) + min(), for each group of 32 columns;
// with kHalves the number is multiplied by half_scale() and min() by half_min() first.
template <Layout kLayout>
struct Scaler {
  static constexpr Scales kKind = kLayout.scales;
  static constexpr bool kHalves = kKind == Scales::kSmall16 || kKind == Scales::kNibblesMin16;
  static constexpr bool kMins = kKind == Scales::kHalfMin || kKind == Scales::kSmallMin32 ||
                                kKind == Scales::kNibblesMin16 ||
                                (kKind == Scales::kGroups && kLayout.values == Values::kInteger);
  static_assert(!kMins || Codes<kLayout>::kOffset == 0);

  // `k` counts from the chapter's first column.
  HEARTH_SIMD const std::byte* record(const Chapter& chapter, int64_t k) {
    constexpr Records kSize = records(kKind);
    return chapter.data + records_at(kLayout, chapter.columns) + k / kSize.columns * kSize.bytes;
  }
  HEARTH_SIMD const std::byte* super_record(const Chapter& chapter, int64_t k) {
    return chapter.data + super_records_at(kLayout, chapter.columns) +
           k / kSuperGroup * records(kKind).super_bytes;
  }
  HEARTH_SIMD const std::byte* group_record(const Chapter& chapter, int64_t k) {
    return chapter.data + records_at(kLayout, chapter.columns) +
           group_of(chapter.groups, k) * group_record_bytes(chapter.groups);
  }

  HEARTH_SIMD F32x16 scale(const Chapter& chapter, int64_t group) {
    const int64_t k = group * kGroup;
    if constexpr (kKind == Scales::kGroups) {
      return load_group_floats(chapter.groups.type, group_record(chapter, k));
    } else if constexpr (kKind == Scales::kHalf || kKind == Scales::kHalfMin) {
      return load_f16(record(chapter, k));
    } else if constexpr (kKind == Scales::kE8M0) {
      // Half a power of two: E2M1 numbers are doubled. 2^-128 becomes zero.
      return mul(float_bits<23>(load_u8(record(chapter, k))), set1(0.5f));
    } else {
      const F32x16 factor = load_f16(super_record(chapter, k));
      if constexpr (kHalves) return factor;
      const std::byte* small = record(chapter, k);
      if constexpr (kKind == Scales::kSmall32) return mul(factor, to_float(load_i8(small)));
      return mul(factor, to_float(load_u8(small)));
    }
  }

  HEARTH_SIMD F32x16 min(const Chapter& chapter, int64_t group) {
    const int64_t k = group * kGroup;
    if constexpr (kKind == Scales::kGroups) {
      const std::byte* first = group_record(chapter, k);
      const std::byte* second = first + kBlockRows * group_float_bytes(chapter.groups);
      if (chapter.groups.offset == GroupOffset::kMin) {
        return load_group_floats(chapter.groups.type, second);
      }
      const F32x16 offset = chapter.groups.offset == GroupOffset::kZero
                                ? to_float(load_u8(second))
                                : set1(1 << (kLayout.bits() - 1));
      return mul(load_group_floats(chapter.groups.type, first), sub(zero(), offset));
    } else if constexpr (kKind == Scales::kHalfMin) {
      return load_f16(record(chapter, k) + 32);
    } else {
      const F32x16 factor = load_f16(super_record(chapter, k) + 32);
      if constexpr (kHalves) return factor;
      return mul(factor, to_float(load_u8(record(chapter, k) + 16)));
    }
  }

  // Of a unit, which is a half group where half groups have scales of their own, else the group:
  // weights are unit_scale * number + unit_min.
  HEARTH_SIMD F32x16 unit_scale(const Chapter& chapter, int64_t group, int half) {
    if constexpr (kHalves) {
      return mul(scale(chapter, group), half_scale(chapter, 2 * group + half));
    }
    return scale(chapter, group);
  }
  HEARTH_SIMD F32x16 unit_min(const Chapter& chapter, int64_t group, int half) {
    if constexpr (kHalves) {
      return mul(min(chapter, group), half_min(chapter, 2 * group + half));
    }
    return min(chapter, group);
  }

  // `half`: counts half groups of the chapter.
  HEARTH_SIMD F32x16 half_scale(const Chapter& chapter, int64_t half) {
    const std::byte* small = record(chapter, half * kHalfGroup);
    if constexpr (kKind == Scales::kSmall16) return to_float(load_i8(small));
    return to_float(field<0, 15>(load_u8(small)));
  }
  HEARTH_SIMD F32x16 half_min(const Chapter& chapter, int64_t half) {
    return to_float(field<4, 15>(load_u8(record(chapter, half * kHalfGroup))));
  }
};

}  // namespace
}  // namespace hearth::engine::kernels::HEARTH_ISA_NAMESPACE
