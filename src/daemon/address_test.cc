#include "daemon/address.h"

#include <gtest/gtest.h>

#include "base/host_port.h"

namespace hearth::daemon {
namespace {

TEST(Address, SplitsHostAndPort) {
  EXPECT_EQ(split_address("10.0.0.2:52416").host, "10.0.0.2");
  EXPECT_EQ(split_address("10.0.0.2:52416").port, 52416);
  EXPECT_EQ(split_address("studio.local:1").host, "studio.local");
  EXPECT_EQ(split_address("[fe80::1%eth0]:52416").host, "fe80::1%eth0");
  EXPECT_EQ(split_address("[fe80::1%eth0]:52416").port, 52416);
}

TEST(Address, ToleratesWhatHasNoPort) {
  EXPECT_EQ(split_address("studio").host, "studio");
  EXPECT_EQ(split_address("studio").port, 0);
  EXPECT_EQ(split_address("::1").host, "::1");
  EXPECT_EQ(split_address("::1").port, 0);
  EXPECT_EQ(split_address("studio:99999").port, 0);
  EXPECT_EQ(split_address("studio:12x").port, 0);
  EXPECT_EQ(split_address("").host, "");
}

TEST(Address, SplitsWhatWasJoined) {
  for (const char* host : {"10.0.0.2", "studio.local", "fe80::1%eth0", "::1"}) {
    const Address back = split_address(join_host_port(host, 7));
    EXPECT_EQ(back.host, host);
    EXPECT_EQ(back.port, 7);
  }
}

TEST(Address, NamesItsKind) {
  EXPECT_EQ(address_type("10.0.0.2"), "ip4");
  EXPECT_EQ(address_type("fe80::1"), "ip6");
  EXPECT_EQ(address_type("studio.local"), "dns");
}

}  // namespace
}  // namespace hearth::daemon
