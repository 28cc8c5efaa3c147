#include "engine/kernels/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <atomic>
#include <cstdlib>
#include <string>

#include "engine/kernels/tables.h"

namespace hearth::engine::kernels {
namespace {

#if defined(__x86_64__)
// The tiles' 8 KiB are saved for processes that asked for them (Linux,
// Documentation/arch/x86/xstate.rst). The system grants them if the processor has them and it knows
// how to save them.
bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

uint32_t tile_features() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return 0;
  uint32_t features = 0;
  if ((d >> 24 & 1) != 0) features |= kAmxTile;
  if ((d >> 22 & 1) != 0) features |= kAmxBf16;
  return features != 0 && may_use_tiles() ? features : 0;
}
#endif

// __builtin_cpu_supports reads CPUID and, for AVX and later, XGETBV. Linux tells programs on ARM
// what there is; every Apple processor has dot products.
uint32_t machine_features() {
  uint32_t features = 0;
  [[maybe_unused]] const auto add = [&](uint64_t supported, Feature feature) {
    if (supported != 0) features |= feature;
  };
#if defined(__x86_64__)
  __builtin_cpu_init();
  add(__builtin_cpu_supports("avx2"), kAvx2);
  add(__builtin_cpu_supports("fma"), kFma);
  add(__builtin_cpu_supports("f16c"), kF16c);
  add(__builtin_cpu_supports("avx512f"), kAvx512F);
  add(__builtin_cpu_supports("avx512bw"), kAvx512Bw);
  add(__builtin_cpu_supports("avx512vl"), kAvx512Vl);
  add(__builtin_cpu_supports("avx512dq"), kAvx512Dq);
  add(__builtin_cpu_supports("avx512vnni"), kAvx512Vnni);
  features |= tile_features();
#elif defined(__aarch64__) && defined(__linux__)
  add(::getauxval(AT_HWCAP) & HWCAP_ASIMDDP, kDotProd);
  add(::getauxval(AT_HWCAP2) & HWCAP2_I8MM, kI8mm);
#elif defined(__aarch64__) && defined(__APPLE__)
  add(1, kDotProd);
#endif
  return features;
}

std::atomic<uint32_t> assumed{0};

#if defined(__x86_64__)
constexpr uint32_t kAvx512 =
    kAvx2 | kFma | kF16c | kAvx512F | kAvx512Bw | kAvx512Vl | kAvx512Dq | kAvx512Vnni;
#endif

constexpr Isa kIsas[] = {
#if defined(__x86_64__)
    {"amx", "x86 AMX TILE, BF16 and AVX-512", kAvx512 | kAmxTile | kAmxBf16, 30, &kAvx512Kernels,
     &kAmxSlabKernels},
    {"avx512", "x86 AVX-512 F, BW, VL, DQ, VNNI", kAvx512, 20, &kAvx512Kernels},
    {"avx2", "x86 AVX2, FMA, F16C", kAvx2 | kFma | kF16c, 10, &kAvx2Kernels},
#elif defined(__aarch64__)
    {"neon_i8mm", "ARM NEON with dot and matrix products of bytes", kDotProd | kI8mm, 20,
     &kNeonI8mmKernels},
    {"neon", "ARM NEON with dot products of bytes", kDotProd, 10, &kNeonKernels},
#endif
    {"scalar", "portable reference", 0, 0, &kScalarKernels},
};

}  // namespace

bool Isa::supported() const {
  static const uint32_t machine = machine_features();
  return (required & (machine | assumed)) == required;
}

uint32_t assume_features(uint32_t features) { return assumed.exchange(features); }

std::span<const Isa> isas() { return kIsas; }

Result<const Isa*> choose_isa(std::string_view name) {
  const Isa* best = nullptr;
  std::string names;
  for (const Isa& isa : kIsas) {
    if (isa.name == name) {
      if (isa.supported()) return &isa;
      return Error(Code::kUnsupported, "instruction set " + std::string(name) + ": this machine " +
                                           "lacks " + std::string(isa.description));
    }
    names += (names.empty() ? "" : ", ") + std::string(isa.name);
    if (isa.supported() && (best == nullptr || isa.priority > best->priority)) best = &isa;
  }
  if (name.empty()) return best;
  return Error(Code::kInvalidArgument,
               "unknown instruction set \"" + std::string(name) + "\"; HEARTH_ISA may be " + names);
}

Result<const Isa*> choose_isa() {
  const char* name = std::getenv("HEARTH_ISA");
  return choose_isa(name == nullptr ? "" : name);
}

}  // namespace hearth::engine::kernels
