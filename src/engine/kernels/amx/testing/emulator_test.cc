// Each emulated instruction. On a processor with AMX the same tests run on its own, which shows
// that what they expect is right.
#include "engine/kernels/amx/testing/emulator.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/kernels/numbers.h"

namespace hearth::engine::kernels {
namespace {

struct Config {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int tile_rows, int tile_row_bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(tile_row_bytes);
  }
  void load() const { asm volatile("ldtilecfg %0" ::"m"(*this)); }
  static Config current() {
    Config config;
    asm volatile("sttilecfg %0" : "=m"(config));
    return config;
  }
  bool operator==(const Config& other) const { return std::memcmp(this, &other, 64) == 0; }
};

template <int kTile>
void load_tile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
void store_tile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
}
template <int kSum, int kA, int kB>
void add_product() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
}

class AmxEmulatorTest : public testing::Test {
 protected:
  // Looking for AMX asks the system to allow it, where the processor has it.
  static void SetUpTestSuite() { isas()[0].supported(); }
  void TearDown() override { asm volatile("tilerelease"); }

  std::vector<uint8_t> random_bytes(size_t n) {
    std::vector<uint8_t> bytes(n);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(engine_());
    return bytes;
  }
  const AmxEmulation emulation_;
  std::mt19937 engine_{1};
};

TEST_F(AmxEmulatorTest, TheConfigurationComesBack) {
  Config config;
  for (int tile = 0; tile < 8; ++tile) config.set(tile, 16 - tile, 4 + 8 * tile);
  config.load();
  EXPECT_EQ(Config::current(), config);
  asm volatile("tilerelease");
  EXPECT_EQ(Config::current(), Config{.palette = 0});
}

TEST_F(AmxEmulatorTest, TilesComeBackAndTouchNothingBesides) {
  constexpr int kRows = 5;
  constexpr int kRowBytes = 28;
  constexpr int kStride = 37;
  Config config;
  config.set(3, kRows, kRowBytes);
  config.set(7, 16, 64);
  config.load();
  const std::vector<uint8_t> bytes = random_bytes(kRows * kStride);
  load_tile<3>(bytes.data(), kStride);
  std::vector<uint8_t> out(bytes.size(), 0xaa);
  store_tile<3>(out.data(), kStride);
  for (size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(out[i], i % kStride < kRowBytes ? bytes[i] : 0xaa) << i;
  }

  const std::vector<uint8_t> full = random_bytes(16 * 64);
  std::vector<uint8_t> copy(full.size());
  asm volatile("tileloaddt1 (%0,%1,2), %%tmm7" ::"r"(full.data()), "r"(int64_t{32}) : "memory");
  store_tile<7>(copy.data(), 64);
  EXPECT_EQ(copy, full);
  asm volatile("tilezero %%tmm7" ::);
  store_tile<7>(copy.data(), 64);
  EXPECT_EQ(copy, std::vector<uint8_t>(copy.size()));
  // The other one still holds what it held; the configuration, loaded anew, clears it.
  store_tile<3>(out.data(), kStride);
  EXPECT_EQ(out[0], bytes[0]);
  config.load();
  store_tile<3>(out.data(), kStride);
  EXPECT_EQ(out[0], 0);
}

// Every form that an address can take.
TEST_F(AmxEmulatorTest, AddressesAreDecoded) {
  Config config;
  config.set(0, 2, 4);
  config.load();
  alignas(64) static uint32_t memory[4096];
  for (uint32_t i = 0; i < 4096; ++i) memory[i] = i;
  const auto expect_rows = [](uint32_t first, uint32_t second) {
    uint32_t rows[2] = {};
    store_tile<0>(rows, 4);
    EXPECT_EQ(rows[0], first);
    EXPECT_EQ(rows[1], second);
  };
  const uint32_t* at = memory + 1000;
  asm volatile("tileloadd (%0), %%tmm0" ::"r"(at) : "memory");  // no index: no stride
  expect_rows(1000, 1000);
  asm volatile("tileloadd (%0,%1,8), %%tmm0" ::"r"(at), "r"(int64_t{2}) : "memory");
  expect_rows(1000, 1004);
  asm volatile("tileloadd 12(%0,%1,4), %%tmm0" ::"r"(at), "r"(int64_t{-3}) : "memory");
  expect_rows(1003, 1000);
  asm volatile("tileloadd -2000(%0,%1,1), %%tmm0" ::"r"(at), "r"(int64_t{8}) : "memory");
  expect_rows(500, 502);
  // Registers whose numbers have special meanings: 4 and 12 (SIB), 5 and 13 (no base), 8 and up.
  asm volatile("mov %0, %%r12; mov %1, %%r13; tileloadd (%%r12,%%r13,1), %%tmm0" ::"r"(at),
               "r"(int64_t{4})
               : "memory", "r12", "r13");
  expect_rows(1000, 1001);
  asm volatile("mov %0, %%r13; mov %1, %%r12; tileloadd (%%r13,%%r12,1), %%tmm0" ::"r"(at),
               "r"(int64_t{8})
               : "memory", "r12", "r13");
  expect_rows(1000, 1002);
  // No base: the address is the displacement.
  constexpr int64_t kPlace = 0x20000000;
  void* place = ::mmap(reinterpret_cast<void*>(kPlace), 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(place, reinterpret_cast<void*>(kPlace));
  static_cast<uint32_t*>(place)[3] = 77;
  asm volatile("tileloadd 0x20000000(,%0,4), %%tmm0" ::"r"(int64_t{3}) : "memory");
  expect_rows(0, 77);
  ::munmap(place, 4096);
}

TEST_F(AmxEmulatorTest, ConfigurationsAreAddressedAnyWay) {
  static Config config;  // also relative to the instruction
  config.set(2, 7, 12);
  asm volatile("ldtilecfg %0" ::"m"(config));
  EXPECT_EQ(Config::current(), config);
  Config copies[3];
  const Config* middle = &copies[1];
  asm volatile("sttilecfg 64(%0)" ::"r"(middle) : "memory");
  EXPECT_EQ(copies[2], config);
  asm volatile("sttilecfg (%0,%1,8)" ::"r"(middle), "r"(int64_t{-8}) : "memory");
  EXPECT_EQ(copies[0], config);
  asm volatile("sttilecfg 1024(%0)" ::"r"(reinterpret_cast<int64_t>(middle) - 1024) : "memory");
  EXPECT_EQ(copies[1], config);
}

// C [rows, columns] and its operands.
struct Operands {
  Operands(int m, int n, int pairs)
      : rows(m), columns(n), depth(2 * pairs), a(m * depth), b(n * depth), c(m * n) {}

  // The bits that the instruction must give.
  std::vector<float> expected() const {
    std::vector<float> sums = c;
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        float parts[2] = {};
        for (int k = 0; k < depth; ++k) {
          parts[k % 2] = std::fma(from_bf16(a[i * depth + k]), from_bf16(at_b(k, j)), parts[k % 2]);
        }
        sums[i * columns + j] += parts[0] + parts[1];
      }
    }
    return sums;
  }
  uint16_t at_b(int k, int j) const { return b[(k / 2 * columns + j) * 2 + k % 2]; }

  std::vector<float> product() const {
    Config config;
    config.set(6, rows, 4 * columns);
    config.set(1, rows, 2 * depth);
    config.set(4, depth / 2, 4 * columns);
    config.load();
    load_tile<6>(c.data(), 4 * columns);
    load_tile<1>(a.data(), 2 * depth);
    load_tile<4>(b.data(), 4 * columns);
    add_product<6, 1, 4>();
    std::vector<float> out(c.size());
    store_tile<6>(out.data(), 4 * columns);
    return out;
  }

  int rows, columns, depth;
  std::vector<uint16_t> a, b;
  std::vector<float> c;
};

TEST_F(AmxEmulatorTest, ProductsHaveTheBitsOfTheManual) {
  std::normal_distribution<float> normal;
  for (const auto& [rows, columns, pairs] : std::vector<std::array<int, 3>>{
           {16, 16, 16}, {1, 16, 16}, {16, 1, 16}, {16, 16, 1}, {3, 5, 7}, {11, 16, 8}}) {
    Operands operands(rows, columns, pairs);
    for (uint16_t& x : operands.a) x = to_bf16(normal(engine_));
    for (uint16_t& x : operands.b) x = to_bf16(normal(engine_));
    for (float& x : operands.c) x = normal(engine_);
    EXPECT_EQ(operands.product(), operands.expected());
  }
}

TEST_F(AmxEmulatorTest, SubnormalsAreZeros) {
  constexpr float kSmallest = std::numeric_limits<float>::min();
  Operands operands(1, 4, 1);
  operands.a = {to_bf16(kSmallest / 2), to_bf16(kSmallest)};
  // (as operands, as results; what the fourth adds is subnormal, too)
  operands.b = {to_bf16(1e30f), 0, 0, to_bf16(0.5f), 0, to_bf16(1), 0, to_bf16(0.5f)};
  operands.c = {0, 0, kSmallest / 2, kSmallest};
  EXPECT_EQ(operands.product(), (std::vector<float>{0, 0, kSmallest, kSmallest}));
}

TEST_F(AmxEmulatorTest, EveryThreadHasTiles) {
  Config config;
  config.set(0, 1, 4);
  config.load();
  const uint32_t one = 1;
  load_tile<0>(&one, 4);
  std::thread([&] {
    EXPECT_EQ(Config::current(), Config{.palette = 0});
    config.load();
    const uint32_t two = 2;
    load_tile<0>(&two, 4);
    asm volatile("tilerelease");
  }).join();
  uint32_t out = 0;
  store_tile<0>(&out, 4);
  EXPECT_EQ(out, 1u);
}

TEST_F(AmxEmulatorTest, WhatTheProcessorRefusesAborts) {
  Config config;
  config.set(0, 16, 64);
  config.load();
  EXPECT_DEATH(load_tile<1>(&config, 64), "not configured");
  EXPECT_DEATH(asm volatile("ud2"), "unknown instruction");
}

}  // namespace
}  // namespace hearth::engine::kernels
