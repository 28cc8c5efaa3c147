#include "engine/kernels/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>
#include <utility>

namespace hearth::engine::kernels {
namespace {

TEST(Isa, EntriesAreDistinctAndOrderedAndEndWithScalar) {
  std::set<std::pair<const Kernels*, const SlabKernels*>> tables;
  int priority = 1 << 20;
  for (const Isa& isa : isas()) {
    EXPECT_LT(isa.priority, priority);
    priority = isa.priority;
    EXPECT_TRUE(tables.emplace(isa.kernels, isa.slabs).second) << isa.name;
    EXPECT_FALSE(isa.description.empty());
  }
  EXPECT_EQ(isas().back().name, "scalar");
  EXPECT_TRUE(isas().back().supported());
}

TEST(Isa, EveryTableIsComplete) {
  for (const Isa& isa : isas()) {
    const Kernels& k = *isa.kernels;
    for (int encoding = 0; encoding < kEncodings; ++encoding) {
      EXPECT_NE(k.matmul[encoding], nullptr);
      const bool quantised = kLayouts[encoding].values > Values::kFloat8;
      EXPECT_EQ(k.matmul_q[encoding] != nullptr, quantised) << encoding;
    }
    if (isa.slabs != nullptr) {
      EXPECT_TRUE(isa.slabs->matmul && isa.slabs->fill);
    }
    EXPECT_TRUE(k.tile_f32 && k.tile_q && k.rms_norm && k.rope_half && k.rope_interleaved &&
                k.silu_mul && k.add && k.attention->add_spans);
    for (int type = 0; type < kKvTypes; ++type) {
      EXPECT_TRUE(k.attention->store[type] && k.attention->attend[type]);
    }
  }
}

TEST(Isa, BestSupportedOneByDefault) {
  const auto chosen = choose_isa("");
  ASSERT_TRUE(chosen.ok());
  for (const Isa& isa : isas()) {
    if (!isa.supported()) continue;
    EXPECT_EQ(*chosen, &isa);  // the list is best first
    break;
  }
}

TEST(Isa, ANameIsThatEntryOrAnError) {
  for (const Isa& isa : isas()) {
    const auto chosen = choose_isa(isa.name);
    if (isa.supported()) {
      ASSERT_TRUE(chosen.ok());
      EXPECT_EQ((*chosen)->kernels, isa.kernels);
    } else {
      ASSERT_FALSE(chosen.ok());
      EXPECT_EQ(chosen.error().code(), Code::kUnsupported);
    }
  }
  for (const char* name : {"avx", "AVX2", "scalar ", "best"}) {
    const auto chosen = choose_isa(name);
    ASSERT_FALSE(chosen.ok()) << name;
    EXPECT_EQ(chosen.error().code(), Code::kInvalidArgument);
    EXPECT_NE(chosen.error().message().find("scalar"), std::string::npos);
  }
}

TEST(Isa, TheEnvironmentForcesOne) {
  ::setenv("HEARTH_ISA", "scalar", 1);
  const auto scalar = choose_isa();
  ::setenv("HEARTH_ISA", "nonsense", 1);
  const auto nonsense = choose_isa();
  ::unsetenv("HEARTH_ISA");
  ASSERT_TRUE(scalar.ok());
  EXPECT_EQ((*scalar)->name, "scalar");
  EXPECT_FALSE(nonsense.ok());
}

}  // namespace
}  // namespace hearth::engine::kernels
