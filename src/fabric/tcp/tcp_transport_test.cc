// The TCP transport against a peer that knows the token and speaks nonsense.
#include "fabric/tcp/tcp_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

#include "fabric/group_testing.h"
#include "fabric/rendezvous/meet.h"

namespace hearth::fabric::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string frame(uint32_t bytes, Tag tag, std::string_view payload) {
  std::string text;
  for (const uint32_t number : {bytes, tag}) {
    for (int i = 0; i < 4; ++i) text.push_back(static_cast<char>(number >> 8 * i));
  }
  return text.append(payload);
}

// Rank 0 is the transport, rank 1 a bare socket.
class TcpTransportAlone : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TcpTransport::make("127.0.0.1");
    ASSERT_TRUE(made.ok());
    transport_ = std::move(*made);
    const std::vector<std::string> hosts = {"", "127.0.0.1"};
    const auto address = transport_->local_address(hosts);
    ASSERT_TRUE(address.ok());
    std::thread other([&] {
      Meeting meeting;
      meeting.me = Party{1, 2, Purpose::kData, "token"};
      meeting.addresses = {"127.0.0.1:" + *address, ""};
      auto unused = listen_at("127.0.0.1");
      auto sockets = meet(*unused, meeting);
      if (sockets.ok()) peer_ = std::move((*sockets)[0]);
    });
    const std::vector<std::string> addresses = {*address, "1"};
    const auto connected = transport_->connect(0, addresses, hosts, "token", 10'000);
    other.join();
    ASSERT_TRUE(connected.ok()) << connected.error().message();
    ASSERT_TRUE(peer_);
  }

  void say(std::string_view bytes) const {
    while (!bytes.empty()) {
      const long written = write_some(peer_, bytes);
      ASSERT_GE(written, 0);
      bytes.remove_prefix(written);
    }
  }

  Result<std::string> hear(Tag tag) const {
    std::vector<std::byte> data;
    HEARTH_RETURN_IF_ERROR(transport_->recv(1, tag, Destination(&data)));
    return text_of(data);
  }

  std::unique_ptr<Transport> transport_;
  Socket peer_;
};

TEST_F(TcpTransportAlone, FramesAreAsDocumented) {
  say(frame(5, 0x01020304, "hello"));
  EXPECT_EQ(*hear(0x01020304), "hello");
  ASSERT_TRUE(transport_->send(1, 0x0A0B0C0D, bytes_of("hi")).ok());
  char got[10];
  pollfd fd{.fd = peer_.fd(), .events = POLLIN};
  ASSERT_EQ(::poll(&fd, 1, 5000), 1);
  ASSERT_EQ(read_some(peer_, got, sizeof got), 10);
  EXPECT_EQ(std::string(got, 10), std::string("\2\0\0\0\x0D\x0C\x0B\x0Ahi", 10));
}

TEST_F(TcpTransportAlone, ALengthOverTheLimitEndsTheConnectionAndCostsNoMemory) {
  say(frame(5, 1, "hello") + frame(0xFFFFFFFF, 1, "x"));
  EXPECT_EQ(*hear(1), "hello");
  const auto result = hear(1);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kUnavailable);
  EXPECT_THAT(result.error().message(), AllOf(StartsWith("rank 1"), HasSubstr("4294967295")));
}

TEST_F(TcpTransportAlone, AConnectionThatEndsWithinAFrameIsAnError) {
  say(frame(5, 1, "hello") + frame(5, 1, "he"));
  peer_.close();
  EXPECT_EQ(*hear(1), "hello");
  const auto result = hear(1);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message(), "rank 1: connection closed");
}

TEST_F(TcpTransportAlone, BytesMayArriveOneByOne) {
  std::thread other([&] {
    for (const char byte : frame(5, 1, "hello") + frame(0, 2, "") + frame(5, 2, "world")) {
      say(std::string_view(&byte, 1));
      std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  });
  EXPECT_EQ(*hear(1), "hello");
  EXPECT_EQ(*hear(2), "");
  EXPECT_EQ(*hear(2), "world");
  other.join();
}

}  // namespace
}  // namespace hearth::fabric::testing
