// The TCP transport against a peer that knows the token and speaks nonsense.
#include "fabric/tcp/tcp_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <future>
#include <thread>

#include "fabric/group_testing.h"
#include "fabric/rendezvous/meet.h"

namespace hearth::fabric::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;

std::string frame(uint32_t bytes, Tag tag, std::string_view payload) {
  std::string text;
  for (const uint32_t number : {bytes, tag}) {
    for (int i = 0; i < 4; ++i) text.push_back(static_cast<char>(number >> 8 * i));
  }
  return text.append(payload);
}

// Rank 0 is the transport, the others are bare sockets.
class TcpTransportAlone : public ::testing::Test {
 protected:
  void SetUp() override { join(2); }

  void join(int size) {
    auto made = TcpTransport::make("127.0.0.1");
    ASSERT_TRUE(made.ok());
    transport_ = std::move(*made);
    const std::vector<std::string> hosts(size, "127.0.0.1");
    std::vector<std::string> ports(size);
    std::vector<Socket> listeners(size);
    const auto port = transport_->local_address(hosts, hosts);
    ASSERT_TRUE(port.ok());
    ports[0] = *port;
    for (int rank = 1; rank < size; ++rank) {
      auto listener = listen_at("127.0.0.1");
      ASSERT_TRUE(listener.ok());
      listeners[rank] = std::move(*listener);
      ports[rank] = std::to_string(local_port(listeners[rank]));
    }
    std::vector<std::vector<Socket>> met(size);
    std::vector<std::thread> others;
    for (int rank = 1; rank < size; ++rank) {
      others.emplace_back([&, rank] {
        Meeting meeting;
        meeting.me = Party{rank, size, Purpose::kData, "token"};
        for (const std::string& own : ports) meeting.addresses.push_back("127.0.0.1:" + own);
        auto sockets = meet(listeners[rank], meeting);
        if (sockets.ok()) met[rank] = std::move(*sockets);
      });
    }
    const auto connected = transport_->connect(0, ports, hosts, "token", 10'000);
    for (std::thread& other : others) other.join();
    ASSERT_TRUE(connected.ok()) << connected.error().message();
    peers_.clear();
    peers_.resize(size);
    for (int rank = 1; rank < size; ++rank) {
      ASSERT_FALSE(met[rank].empty());
      peers_[rank] = std::move(met[rank][0]);
    }
  }

  void say(std::string_view bytes, int rank = 1) const {
    while (!bytes.empty()) {
      const long written = write_some(peers_[rank], bytes);
      ASSERT_GE(written, 0);
      bytes.remove_prefix(written);
    }
  }

  Result<std::string> hear(Tag tag, int rank = 1) const {
    std::vector<std::byte> data;
    HEARTH_RETURN_IF_ERROR(transport_->recv(rank, tag, Destination(&data)));
    return text_of(data);
  }

  std::unique_ptr<Transport> transport_;
  std::vector<Socket> peers_;  // by rank
};

TEST_F(TcpTransportAlone, FramesAreAsDocumented) {
  say(frame(5, 0x01020304, "hello"));
  EXPECT_EQ(*hear(0x01020304), "hello");
  ASSERT_TRUE(transport_->send(1, 0x0A0B0C0D, bytes_of("hi")).ok());
  char got[10];
  pollfd fd{.fd = peers_[1].fd(), .events = POLLIN};
  ASSERT_EQ(::poll(&fd, 1, 5000), 1);
  ASSERT_EQ(read_some(peers_[1], got, sizeof got), 10);
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
  peers_[1].close();
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

// While rank 0 waits for rank 2, it takes what rank 1 sends, which goes on for longer than it would
// wait awake. The message of rank 2 comes meanwhile and is the last thing to come.
TEST_F(TcpTransportAlone, AMessageThatArrivesWhileAnotherRankIsHeardIsSeen) {
  for (int round = 0; round < 10; ++round) {
    join(3);
    say(frame(64 << 20, 1, ""));
    const std::string some(64 << 10, 'x');
    while (write_some(peers_[1], some) > 0) continue;  // as much as the system takes
    std::thread other([&] {
      pollfd draining{.fd = peers_[1].fd(), .events = POLLOUT};
      ASSERT_EQ(::poll(&draining, 1, 10'000), 1);
      say(frame(5, 2, "hello"), 2);
    });
    std::promise<void> heard;
    std::thread watchdog([&] {
      if (heard.get_future().wait_for(10s) == std::future_status::ready) return;
      transport_->abort("it slept on");
    });
    const auto result = hear(2, 2);
    heard.set_value();
    other.join();
    watchdog.join();
    ASSERT_TRUE(result.ok()) << result.error().message() << " in round " << round;
    EXPECT_EQ(*result, "hello");
  }
}

}  // namespace
}  // namespace hearth::fabric::testing
