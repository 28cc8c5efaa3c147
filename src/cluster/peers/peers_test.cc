#include <gtest/gtest.h>

#include "cluster/core/membership.h"
#include "cluster/peers/own_addresses.h"
#include "cluster/peers/server.h"
#include "cluster/peers/wire.h"

namespace hearth::cluster {
namespace {

TEST(PeersTest, CallersHaveHosts) {
  EXPECT_EQ(host_of_peer("ipv4:10.0.0.7:4242"), "10.0.0.7");
  EXPECT_EQ(host_of_peer("ipv6:[::1]:4242"), "[::1]");
  EXPECT_EQ(host_of_peer("ipv6:%5Bfe80::1%25eth0%5D:4242"), "[fe80::1%eth0]");
  EXPECT_EQ(host_of_peer("unix:/tmp/x"), "");
  EXPECT_EQ(host_of_peer("nonsense"), "");
  EXPECT_EQ(host_of_peer(""), "");
}

TEST(PeersTest, AddressesAreChecked) {
  for (const char* good :
       {"10.0.0.1:1", "nas.local:65535", "[::1]:52416", "[fe80::1%eth0]:52416"}) {
    EXPECT_TRUE(valid_address(good)) << good;
  }
  for (const char* bad :
       {"", ":", "host", "host:", ":1", "host:0", "host:65536", "host:-1", "host:1x", "::1:52416",
        "[::1:52416", "a b:1", "a/b:1", "[]:1", "host\n:1", "%:1"}) {
    EXPECT_FALSE(valid_address(bad)) << bad;
  }
  EXPECT_FALSE(valid_address(std::string(300, 'a') + ":1"));
}

TEST(PeersTest, OwnAddressesAreDialable) {
  EXPECT_EQ(own_addresses("192.168.1.5", 7), std::vector<std::string>{"192.168.1.5:7"});
  EXPECT_EQ(own_addresses("2001:db8::1", 7), std::vector<std::string>{"[2001:db8::1]:7"});
  for (const std::string& address : own_addresses("0.0.0.0", 7))
    EXPECT_TRUE(valid_address(address)) << address;
}

TEST(PeersTest, MessagesSurviveTheWire) {
  const std::string id(64, 'a');
  const Document document{.key = "instance/0123456789abcdef",
                          .version = {{id, 5}},
                          .body = "{}",
                          .deleted = true,
                          .epoch = 3,
                          .written_unix_ms = 4};
  const SyncRequest request{
      .digest = {{document.key, document.version}}, .documents = {document}, .device_port = 9};
  const SyncRequest read = from_proto(to_proto(request));
  EXPECT_EQ(read.documents, request.documents);
  ASSERT_EQ(read.digest.size(), 1u);
  EXPECT_EQ(read.digest[0].version, document.version);
  EXPECT_EQ(read.device_port, 9);

  const SyncReply reply = from_proto(to_proto(SyncReply{.documents = {document}, .wanted = {"x"}}));
  EXPECT_EQ(reply.documents, request.documents);
  EXPECT_EQ(reply.wanted, std::vector<std::string>{"x"});

  const HelloRequest hello = from_proto(to_proto(HelloRequest{
      .cluster = "c", .protocol = 2, .software = "s", .device = DeviceId(id), .device_port = 5}));
  EXPECT_EQ(hello.cluster, "c");
  EXPECT_EQ(hello.protocol, 2);
  EXPECT_EQ(hello.device.str(), id);
  EXPECT_EQ(hello.device_port, 5);
  const HelloReply welcome =
      from_proto(to_proto(HelloReply{.device = DeviceId(id), .refusal = "no", .peers = {"a:1"}}));
  EXPECT_EQ(welcome.device.str(), id);
  EXPECT_EQ(welcome.refusal, "no");
  EXPECT_EQ(welcome.peers, std::vector<std::string>{"a:1"});
}

}  // namespace
}  // namespace hearth::cluster
