// The instructions of Intel AMX, tile registers by number. GCC's own functions for them do not tell
// the compiler that they read memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/avx512/simd.h"

namespace hearth::engine::kernels::amx {
namespace {

constexpr int kTileBytes = 1024;  // 16 rows of 64 bytes

// Of every tile, its rows; each row has 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {};
};

HEARTH_SIMD void tiles_configure(const TileConfig& config) {
  asm volatile("ldtilecfg %0" ::"m"(config));
}
// A thread that holds tiles makes the system save 8 KiB more whenever it switches threads.
HEARTH_SIMD void tiles_release() { asm volatile("tilerelease"); }

template <int kTile>
HEARTH_SIMD void tile_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
template <int kTile>
HEARTH_SIMD void tile_load(const std::byte* from) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(int64_t{64}), "i"(kTile)
               : "memory");
}
template <int kTile>
HEARTH_SIMD void tile_store(float* to) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(int64_t{64}), "i"(kTile) : "memory");
}
// sums[m][n] += sum over pairs p of a[m][p][0] * b[p][n][0] + a[m][p][1] * b[p][n][1], of bfloat16
// in float.
template <int kSums, int kA, int kB>
HEARTH_SIMD void tile_add_product() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kA), "i"(kB));
}

}  // namespace
}  // namespace hearth::engine::kernels::amx
