// Packed weights (layout.h) as tiles of bfloat16. Over generic/weights.h and amx/slabs.h, included
// first.
//
// Codes of at most 8 bits are exact in bfloat16, so one tile holds what is multiplied with scales
// afterwards, group by group. Where half groups have integers for scales, codes are multiplied with
// these first, and only the factor of 256 columns is left for later: the products of Q2_K and Q3_K
// have at most 8 bits and those of Q6_K 13, which take two tiles, as half precision's 11 bits do.
#pragma once

#include <type_traits>
#include <utility>

#include "engine/kernels/amx/slabs.h"

namespace hearth::engine::kernels::amx {
namespace {

// Columns that are unpacked and multiplied at a time.
constexpr int kStepGroups = 2;
constexpr int kStep = kStepGroups * kGroup;
static_assert(kSuperGroup % kStep == 0 && kChapterColumns % kStep == 0);

// What the unpacked weights of an encoding look like.
struct Form {
  int tiles;    // of every group: 2 are a high and a low part
  bool summed;  // one scale for all columns of a step, whose groups are summed up in a tile
  int mins;     // of every group: 2 are of its halves
};

template <Layout kLayout>
constexpr Form form_of() {
  constexpr bool kPlain = kLayout.scales == Scales::kNone;
  constexpr bool kHalves = Scaler<kLayout>::kHalves;
  constexpr bool kLong = kPlain ? kLayout.values == Values::kFloat16 : kLayout.bits() > 3;
  return {.tiles = kLong && (kPlain || kHalves) ? 2 : 1,
          .summed = kPlain || kHalves,
          .mins = !Scaler<kLayout>::kMins ? 0
                  : kHalves               ? 2
                                          : 1};
}

// A step of a block. A tile's row p holds a pair of columns of each of the 16 rows of weights.
template <int kTiles>
struct alignas(64) Unpacked {
  std::byte tiles[kStepGroups][kTiles][kTileBytes];
  float scales[kStepGroups][kBlockRows];    // of groups; of the step if that is summed
  float mins[2 * kStepGroups][kBlockRows];  // of groups or half groups
};

// Numbers of codes of up to 6 bits, as bfloat16, over and over.
struct CodeTable {
  uint16_t numbers[64];

  constexpr explicit CodeTable(const Layout& layout) : numbers() {
    for (int i = 0; i < 64; ++i) {
      const int code = i & ((1 << layout.bits()) - 1);
      const int number = layout.values == Values::kIQ4    ? kIQ4Values[code]
                         : layout.values == Values::kE2M1 ? kE2M1Values[code]
                                                          : code - layout.offset;
      const auto bits = __builtin_bit_cast(uint32_t, static_cast<float>(number));
      numbers[i] = static_cast<uint16_t>(bits >> 16);
    }
  }
};
template <Layout kLayout>
alignas(64) constexpr CodeTable kCodeTable(kLayout);

// Of every half, its number; bits above those of a code are its neighbour's and do not count.
template <Layout kLayout>
HEARTH_SIMD __m512i numbers_of(__m512i codes) {
  const uint16_t* numbers = kCodeTable<kLayout>.numbers;
  if constexpr (kLayout.bits() <= 5) {
    return _mm512_permutexvar_epi16(codes, _mm512_load_si512(numbers));
  } else {
    return _mm512_permutex2var_epi16(_mm512_load_si512(numbers), codes,
                                     _mm512_load_si512(numbers + 32));
  }
}

// Four columns, from the upper halves of floats, into two rows of a tile.
HEARTH_SIMD void store_columns(const __m512i (&halves)[4], std::byte* rows) {
  for (int i = 0; i < 2; ++i) {
    _mm512_store_si512(rows + 64 * i,
                       _mm512_or_si512(_mm512_srli_epi32(halves[i], 16), halves[i + 2]));
  }
}

template <int kTiles>
HEARTH_SIMD void store_columns(const F32x16 (&w)[4], std::byte* rows) {
  __m512i high[4];
  for (int i = 0; i < 4; ++i) {
    high[i] = kTiles == 1 ? _mm512_castps_si512(w[i].v) : to_bf16_bits(w[i]);
  }
  store_columns(high, rows);
  if constexpr (kTiles == 2) {
    __m512i low[4];
    for (int i = 0; i < 4; ++i) low[i] = _mm512_castps_si512(sub(w[i], float_of(high[i])).v);
    store_columns(low, rows + kTileBytes);
  }
}

template <Layout kLayout>
struct Unpack {
  using Code = Codes<kLayout>;
  using Scale = Scaler<kLayout>;
  static constexpr Form kForm = form_of<kLayout>();
  static constexpr bool kPlain = kLayout.scales == Scales::kNone;
  static constexpr bool kLookup = !kForm.summed && kLayout.bits() <= 6;

  template <int kQuad>
  HEARTH_SIMD void floats(const Chapter& chapter, int64_t group, F32x16 (&w)[4]) {
    if constexpr (kPlain) {
      using Weights = std::conditional_t<kForm.tiles == 2, WeightsF16, WeightsBF16>;
      static_assert(Weights::kStep == 2);
      const int64_t k = group * kGroup + kQuad * 4;
      F32x16 first[2];
      F32x16 last[2];
      Weights::load(chapter.data, k, first);
      Weights::load(chapter.data, k + 2, last);
      w[0] = first[0];
      w[1] = first[1];
      w[2] = last[0];
      w[3] = last[1];
    } else {
      Code::template floats<kQuad>(chapter, group, w);
    }
  }

  // Columns 4 * kQuad and up of a group.
  template <int kQuad>
  HEARTH_SIMD void quad(const Chapter& chapter, int64_t group, std::byte* tile) {
    std::byte* rows = tile + kQuad * 2 * 64;
    if constexpr (kLookup) {
      const __m512i codes = Code::template stored_quad<kQuad>(chapter, group).v;
      _mm512_store_si512(rows, numbers_of<kLayout>(codes));
      _mm512_store_si512(rows + 64, numbers_of<kLayout>(_mm512_srli_epi32(codes, 8)));
    } else {
      F32x16 w[4];
      floats<kQuad>(chapter, group, w);
      if constexpr (Scale::kHalves) {
        const F32x16 scale = Scale::half_scale(chapter, 2 * group + kQuad / 4);
        for (F32x16& x : w) x = mul(x, scale);
      }
      store_columns<kForm.tiles>(w, rows);
    }
  }

  template <int... kQuad>
  HEARTH_SIMD void quads(const Chapter& chapter, int64_t group, std::byte* tile,
                         std::integer_sequence<int, kQuad...>) {
    (quad<kQuad>(chapter, group, tile), ...);
  }

  HEARTH_SIMD F32x16 scale(const Chapter& chapter, int64_t group) {
    if constexpr (kPlain) {
      return set1(1);
    } else {
      return Scale::scale(chapter, group);
    }
  }

  HEARTH_SIMD void mins(const Chapter& chapter, int64_t group, int g, Unpacked<kForm.tiles>* out) {
    if constexpr (kForm.mins > 0) {
      for (int i = 0; i < kForm.mins; ++i) {
        store(out->mins[kForm.mins * g + i], Scale::unit_min(chapter, group, i));
      }
    }
  }

  // Groups [first, first + groups) of a block.
  static void run(const MatmulArgs& args, const std::byte* block, int64_t first, int groups,
                  Unpacked<kForm.tiles>* out) {
    // A step's groups are in one chapter; plain floats have none.
    const Chapter chapter = kPlain ? Chapter{block, args.columns, args.groups}
                                   : chapter_of<kLayout>(args, block, first * kGroup);
    const int64_t group = kPlain ? first : first % kChapterGroups;
    for (int g = 0; g < groups; ++g) {
      quads(chapter, group + g, out->tiles[g][0], std::make_integer_sequence<int, 8>());
      store(out->scales[g], scale(chapter, group + g));
      mins(chapter, group + g, g, out);
    }
  }
};

}  // namespace
}  // namespace hearth::engine::kernels::amx
