#include "fabric/rendezvous/socket.h"

#include <gtest/gtest.h>

#include "base/host_port.h"

namespace hearth::fabric {
namespace {

TEST(HostPort, ParsesWhatIsJoined) {
  for (const auto& [host, port] : {std::pair<std::string, int>{"10.0.0.2", 4711},
                                   {"fd00::2", 1},
                                   {"fe80::1%eth0", 65535},
                                   {"attic.local", 80}}) {
    const auto parsed = parse_host_port(join_host_port(host, port));
    ASSERT_TRUE(parsed.ok()) << host;
    EXPECT_EQ(parsed->host, host);
    EXPECT_EQ(parsed->port, port);
  }
}

TEST(HostPort, RefusesTheRest) {
  for (const char* text :
       {"", ":", "host", "host:", ":80", "host:0", "host:65536", "host:-1", "host:8x", "fd00::2:80",
        "[fd00::2]", "[]:80", "[fd00::2:80", "host:99999999999"}) {
    const auto parsed = parse_host_port(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code(), Code::kInvalidArgument);
  }
}

TEST(Listen, SaysWhyItCannot) {
  const auto socket = listen_at("192.0.2.77");  // TEST-NET-1, RFC 5737: nobody's address
  ASSERT_FALSE(socket.ok());
  EXPECT_EQ(socket.error().code(), Code::kUnavailable);
  EXPECT_NE(socket.error().message().find("192.0.2.77"), std::string::npos);
}

}  // namespace
}  // namespace hearth::fabric
