#include "cluster/links.h"

#include <gtest/gtest.h>

namespace hearth::cluster {
namespace {

const DeviceId kOther("other");

LinkFacts link(const std::string& host, double latency_us, double gigabits) {
  return {.to = kOther,
          .host = host,
          .local_host = "10.0.0.1",
          .interface = "eth0",
          .kind = "ethernet",
          .latency_ns = static_cast<int64_t>(latency_us * 1e3),
          .bits_per_second = static_cast<int64_t>(gigabits * 1e9)};
}

TEST(LinksTest, TheFasterPathIsTheBestWhateverItsAddress) {
  DeviceFacts device{.links = {link("10.0.0.2", 2000, 0.1), link("10.1.0.2", 50, 10)}};
  EXPECT_EQ(best_link(device, kOther)->host, "10.1.0.2");
  std::swap(device.links[0], device.links[1]);
  EXPECT_EQ(best_link(device, kOther)->host, "10.1.0.2");
  // Bandwidth cannot make up for a satellite.
  device.links = {link("10.0.0.2", 100, 1), link("10.1.0.2", 300'000, 10)};
  EXPECT_EQ(best_link(device, kOther)->host, "10.0.0.2");
}

TEST(LinksTest, PathsThatAreDownOrLeadElsewhereAreNone) {
  DeviceFacts device{.links = {link("10.0.0.2", 50, 10)}};
  device.links[0].error = "no route to host";
  EXPECT_EQ(best_link(device, kOther), nullptr);
  EXPECT_TRUE(was_measured(device, kOther));
  device.links[0] = link("10.0.0.3", 50, 10);
  device.links[0].to = DeviceId("third");
  EXPECT_EQ(best_link(device, kOther), nullptr);
  EXPECT_FALSE(was_measured(device, kOther));
}

TEST(LinksTest, TellsWhatCarriesMessages) {
  const DeviceFacts plain{.transports = {"tcp"}};
  DeviceFacts from{.transports = {"ucx", "tcp"}};
  DeviceFacts to = from;
  LinkFacts path = link("10.0.0.2", 50, 10);
  EXPECT_EQ(carried_by(from, path, to), "ucx: tcp/eth0");
  EXPECT_EQ(carried_by(from, path, plain), "tcp/eth0");
  EXPECT_EQ(carried_by(plain, path, to), "tcp/eth0");
  path.rdma_ports = "mlx5_0:1";
  EXPECT_EQ(carried_by(from, path, to), "ucx: tcp/eth0") << "the other end has no RDMA";
  to.links = {{.local_host = "10.0.0.2", .rdma_ports = "mlx5_1:1"}};
  EXPECT_EQ(carried_by(from, path, to), "ucx: rdma (mlx5_0:1)");
  path.kind = "loopback";
  EXPECT_EQ(carried_by(from, path, to), "ucx: shared memory");
}

}  // namespace
}  // namespace hearth::cluster
