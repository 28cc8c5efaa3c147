#include "fabric/wire_precision.h"

#include <gtest/gtest.h>

namespace hearth::fabric {
namespace {

TEST(WirePrecision, NamesAreReadBack) {
  for (const auto wire : {WirePrecision::kF32, WirePrecision::kBf16, WirePrecision::kQ8}) {
    EXPECT_EQ(parse_wire_precision(to_string(wire)), wire);
  }
  for (const char* name : {"", "F32", "f16", "q8 "}) EXPECT_FALSE(parse_wire_precision(name));
}

TEST(WirePrecision, SlowerLinksCarryFewerBytes) {
  EXPECT_EQ(wire_precision_for(40e9), WirePrecision::kF32);
  EXPECT_EQ(wire_precision_for(9.4e9), WirePrecision::kF32);    // 10 Gbit/s, as measured
  EXPECT_EQ(wire_precision_for(2.35e9), WirePrecision::kBf16);  // 2.5 Gbit/s
  EXPECT_EQ(wire_precision_for(0.94e9), WirePrecision::kBf16);  // 1 Gbit/s
  EXPECT_EQ(wire_precision_for(94e6), WirePrecision::kQ8);
  EXPECT_EQ(wire_precision_for(0), WirePrecision::kQ8);
  double last = 0;
  for (const auto wire : {WirePrecision::kQ8, WirePrecision::kBf16, WirePrecision::kF32}) {
    EXPECT_GT(wire_bytes(wire), last);
    last = wire_bytes(wire);
  }
}

}  // namespace
}  // namespace hearth::fabric
