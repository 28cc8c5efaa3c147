#include "fabric/link_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <random>
#include <thread>

#include "fabric/rendezvous/hello.h"
#include "fabric/rendezvous/socket.h"

namespace hearth::fabric {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<LinkProbeServer> server() {
  auto listening = LinkProbeServer::listen("127.0.0.1");
  HEARTH_CHECK(listening.ok());
  return std::move(*listening);
}

// A connection that says what it is told to.
class Stranger {
 public:
  explicit Stranger(int port) : socket_(*start_connect((*resolve("127.0.0.1", port))[0])) {
    wait(POLLOUT);
  }
  void say(std::string_view bytes) {
    while (!bytes.empty()) {
      const long written = write_some(socket_, bytes);
      if (written < 0) return;  // hung up on
      bytes.remove_prefix(static_cast<size_t>(written));
      if (written == 0) wait(POLLOUT);
    }
  }
  // What comes until the other side closes or has said `bytes`.
  std::string hear(size_t bytes) {
    std::string heard;
    while (heard.size() < bytes) {
      char buffer[256];
      const long got = read_some(socket_, buffer, std::min(sizeof buffer, bytes - heard.size()));
      if (got == 0 || (got < 0 && got != -EAGAIN)) break;
      if (got > 0) heard.append(buffer, static_cast<size_t>(got));
      if (got < 0 && !wait(POLLIN)) break;
    }
    return heard;
  }
  void introduce(const std::string& token) {
    auto dialer = Introduction::dialer(
        {.rank = 1, .group_size = 2, .purpose = Purpose::kProbe, .token = token}, 0);
    while (!dialer.done()) {
      say(dialer.take_outgoing());
      const std::string heard = hear(dialer.wanted());
      if (heard.size() != dialer.wanted() || !dialer.feed(heard)) return;
    }
  }

 private:
  bool wait(short events) {
    pollfd fd{.fd = socket_.fd(), .events = events, .revents = 0};
    return ::poll(&fd, 1, 10'000) > 0;
  }
  Socket socket_;
};

TEST(LinkProbe, MeasuresLatencyAndBandwidth) {
  const auto listening = server();
  const auto link = probe_link("127.0.0.1", listening->port(), listening->token(), {});
  ASSERT_TRUE(link.ok()) << link.error().message();
  EXPECT_EQ(link->local_host, "127.0.0.1");
  EXPECT_EQ(link->peer_host, "127.0.0.1");
  EXPECT_GT(link->latency_us, 0);
  EXPECT_LT(link->latency_us, 1e6);
  EXPECT_GT(link->bits_per_second, 1e6);
}

TEST(LinkProbe, BandwidthOnlyWhenAsked) {
  const auto listening = server();
  const auto link =
      probe_link("127.0.0.1", listening->port(), listening->token(), {.bandwidth = false});
  ASSERT_TRUE(link.ok()) << link.error().message();
  EXPECT_EQ(link->bits_per_second, 0);
}

TEST(LinkProbe, AnotherDeviceAtTheAddressIsTold) {
  const auto listening = server();
  const auto link = probe_link("127.0.0.1", listening->port(), "another", {});
  ASSERT_FALSE(link.ok());
  EXPECT_EQ(link.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(link.error().message(), HasSubstr("127.0.0.1"));
}

TEST(LinkProbe, NoPathIsAnErrorInTime) {
  int port = 0;
  {
    const auto listening = server();
    port = listening->port();
  }
  EXPECT_EQ(probe_link("127.0.0.1", port, "token", {}).error().code(), Code::kUnavailable);

  // Listens, and says nothing.
  const Socket mute = *listen_at("127.0.0.1");
  const auto begin = std::chrono::steady_clock::now();
  const auto link = probe_link("127.0.0.1", local_port(mute), "token", {.timeout_ms = 200});
  EXPECT_EQ(link.error().code(), Code::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST(LinkProbe, RequestsAreBounded) {
  for (const uint32_t payload : {0u, 1u, 56u, static_cast<uint32_t>(kProbeBurstBytesMax)}) {
    const auto read = ProbeRequest::decode(ProbeRequest{payload}.encode());
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->payload, payload);
  }
  EXPECT_FALSE(
      ProbeRequest::decode(ProbeRequest{static_cast<uint32_t>(kProbeBurstBytesMax) + 1}.encode()));
  EXPECT_FALSE(ProbeRequest::decode(ProbeRequest{UINT32_MAX}.encode()));
  EXPECT_FALSE(ProbeRequest::decode(std::string(ProbeRequest::kBytes, '\0')));
}

// Anything that anyone may send, in pieces and cut off: the next prober is answered as ever.
TEST(LinkProbe, NonsenseHurtsNobody) {
  const auto listening = server();
  std::mt19937 random(7);
  for (int i = 0; i < 40; ++i) {
    Stranger stranger(listening->port());
    if (i % 2 == 1) stranger.introduce(listening->token());
    std::string bytes = ProbeRequest{static_cast<uint32_t>(random() % 100)}.encode() +
                        std::string(random() % 200, 'x');
    for (int flips = 0; flips < 3; ++flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    stranger.say(std::string_view(bytes).substr(0, random() % bytes.size()));
  }
  // Those that went are noticed soon; until then there may be no room.
  Result<LinkMeasurement> link = Error(Code::kUnavailable, "");
  for (int tries = 0; tries < 100 && !link.ok(); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    link = probe_link("127.0.0.1", listening->port(), listening->token(), {});
  }
  EXPECT_TRUE(link.ok()) << link.error().message();
}

TEST(LinkProbe, AConnectionMaySendOnlySoMuch) {
  const auto listening = server();
  Stranger stranger(listening->port());
  stranger.introduce(listening->token());
  const std::string request = ProbeRequest{static_cast<uint32_t>(kProbeBurstBytesMax)}.encode();
  const std::string burst(static_cast<size_t>(kProbeBurstBytesMax), 'x');
  int64_t taken = 0;
  while (taken <= kProbeConnectionBytesMax) {
    stranger.say(request);
    stranger.say(burst);
    if (stranger.hear(request.size()) != request) break;
    taken += kProbeBurstBytesMax;
  }
  EXPECT_GE(taken, kProbeBurstBytesMax);
  EXPECT_LE(taken, kProbeConnectionBytesMax);
}

TEST(LinkProbe, EndsWhileSomeoneIsConnected) {
  auto listening = server();
  Stranger stranger(listening->port());
  const auto begin = std::chrono::steady_clock::now();
  listening = nullptr;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

}  // namespace
}  // namespace hearth::fabric
