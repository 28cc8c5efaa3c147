#include "base/host_port.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

TEST(HostPort, PutsBracketsAroundIPv6Only) {
  EXPECT_EQ(join_host_port("10.0.0.2", 4711), "10.0.0.2:4711");
  EXPECT_EQ(join_host_port("attic.local", 80), "attic.local:80");
  EXPECT_EQ(join_host_port("fd00::2", 1), "[fd00::2]:1");
  EXPECT_EQ(join_host_port("fe80::1%eth0", 65535), "[fe80::1%eth0]:65535");
}

}  // namespace
}  // namespace hearth
