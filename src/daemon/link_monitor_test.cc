#include "daemon/link_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::daemon {
namespace {

using cluster::LinkFacts;
using testing::ElementsAre;

LinkFacts link(int64_t latency_ns, int64_t bits_per_second) {
  return {.to = DeviceId("other"),
          .host = "10.0.0.2",
          .latency_ns = latency_ns,
          .bits_per_second = bits_per_second};
}

TEST(LinkMonitor, NoiseIsNotTold) {
  const LinkFacts told = link(100'000, 1'000'000'000);
  EXPECT_EQ(settled(told, link(110'000, 900'000'000)), told);
  EXPECT_EQ(settled(told, link(200'000, 900'000'000)), link(200'000, 1'000'000'000));
  EXPECT_EQ(settled(told, link(90'000, 90'000'000)), link(100'000, 90'000'000));
}

TEST(LinkMonitor, LossAndReturnAreTold) {
  LinkFacts lost = link(100'000, 1'000'000'000);
  lost.error = "no route to host";
  EXPECT_EQ(settled(link(100'000, 1'000'000'000), lost), lost);
  EXPECT_EQ(settled(lost, link(110'000, 900'000'000)), link(110'000, 900'000'000));
}

TEST(LinkMonitor, TriesEveryAddressOnce) {
  cluster::DeviceView device;
  device.facts.addresses = {"10.0.0.2:52416", "[fd00::2]:52416", "nonsense", ""};
  device.reachable_at = "10.0.0.2:52416";
  EXPECT_THAT(hosts_of(device), ElementsAre("10.0.0.2", "fd00::2", "nonsense"));
  device.reachable_at = "[fe80::1%eth0]:52416";
  EXPECT_EQ(hosts_of(device).back(), "fe80::1%eth0");
}

}  // namespace
}  // namespace hearth::daemon
