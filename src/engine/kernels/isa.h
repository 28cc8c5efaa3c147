// The instruction sets that this build has kernels for, and the choice among them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "engine/kernels/kernels.h"

namespace hearth::engine::kernels {

// Features as CPUID and, on ARM, the kernel report them; those that use wide registers count only
// if the operating system saves these registers (XGETBV), and those of tiles if it lets this
// process use them.
enum Feature : uint32_t {
  kAvx2 = 1 << 0,
  kFma = 1 << 1,
  kF16c = 1 << 2,
  kAvx512F = 1 << 3,
  kAvx512Bw = 1 << 4,
  kAvx512Vl = 1 << 5,
  kAvx512Dq = 1 << 6,
  kAvx512Vnni = 1 << 7,
  kAmxTile = 1 << 8,
  kAmxBf16 = 1 << 9,
  kDotProd = 1 << 16,
  kI8mm = 1 << 17,
};

// An entry of the registry. All have the same behaviour; they differ in speed and in the last bits
// of floating point sums.
struct Isa {
  std::string_view name;
  std::string_view description;
  uint32_t required = 0;  // Features
  int priority = 0;       // the supported entry with the highest runs by default
  const Kernels* kernels = nullptr;
  const SlabKernels* slabs = nullptr;  // of entries that have them

  bool supported() const;
  bool has_slabs(int encoding) const {
    return slabs != nullptr && slabs->matmul[encoding] != nullptr;
  }
};

// All entries of this build, best first; the last is "scalar", which every machine supports.
std::span<const Isa> isas();

// The entry of that name, or the best supported one if `name` is empty. kInvalidArgument lists the
// names if there is no such entry; kUnsupported if this machine lacks its features.
Result<const Isa*> choose_isa(std::string_view name);

// choose_isa() of the environment variable HEARTH_ISA.
Result<const Isa*> choose_isa();

// For tests that emulate instructions: counts these features as this machine's, too, until the next
// call; returns what it counted before. Thread-safe.
uint32_t assume_features(uint32_t features);

}  // namespace hearth::engine::kernels
