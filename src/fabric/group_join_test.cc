// Joining among strangers, late ranks and wrong tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <future>
#include <thread>

#include "base/host_port.h"
#include "fabric/group.h"
#include "fabric/group_testing.h"
#include "fabric/rendezvous/hello.h"
#include "fabric/rendezvous/socket.h"

namespace hearth::fabric::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

using Joined1 = Result<std::unique_ptr<Group>>;

struct Door {
  std::unique_ptr<Rendezvous> rendezvous;
  std::string address;
};

Door open_door(const std::string& host = "127.0.0.1") {
  auto rendezvous = Rendezvous::listen(host);
  EXPECT_TRUE(rendezvous.ok()) << rendezvous.error().message();
  std::string address = join_host_port(host.empty() ? "127.0.0.1" : host, (*rendezvous)->port());
  return {std::move(*rendezvous), std::move(address)};
}

std::future<Joined1> join_async(Door* door, GroupOptions options) {
  return std::async(std::launch::async,
                    [rendezvous = std::move(door->rendezvous), options]() mutable {
                      return Group::join(std::move(rendezvous), options);
                    });
}

GroupOptions options_for(int rank, const std::vector<std::string>& addresses,
                         const std::string& token = "right", int timeout_ms = 20'000) {
  return {.rank = rank,
          .addresses = addresses,
          .token = token,
          .transport = "tcp",
          .connect_timeout_ms = timeout_ms};
}

Socket connect_to(const std::string& address) {
  const auto target = parse_host_port(address);
  const auto endpoints = resolve(target->host, target->port);
  auto socket = start_connect(endpoints->front());
  EXPECT_TRUE(socket.ok());
  pollfd fd{.fd = socket->fd(), .events = POLLOUT};
  EXPECT_EQ(::poll(&fd, 1, 5000), 1);
  return std::move(*socket);
}

void expect_working(Group& a, Group& b) {
  EXPECT_TRUE(a.send(b.rank(), 1, bytes_of("ping")).ok());
  std::vector<std::byte> got;
  EXPECT_TRUE(b.recv(a.rank(), 1, &got).ok());
  EXPECT_EQ(text_of(got), "ping");
}

TEST(Join, IsStoppedAtOnce) {
  Door zero = open_door(), one = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  std::stop_source stop;
  GroupOptions options = options_for(1, addresses);
  options.stop = stop.get_token();
  zero.rendezvous = nullptr;
  auto waiting = join_async(&one, options);
  EXPECT_EQ(waiting.wait_for(300ms), std::future_status::timeout);
  stop.request_stop();
  ASSERT_EQ(waiting.wait_for(1s), std::future_status::ready);
  const auto group = waiting.get();
  ASSERT_FALSE(group.ok());
  EXPECT_EQ(group.error().code(), Code::kCancelled);
}

TEST(Join, RanksMayStartInAnyOrderAndLate) {
  Door zero = open_door(), one = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  auto late = join_async(&one, options_for(1, addresses));
  std::this_thread::sleep_for(300ms);
  auto first = join_async(&zero, options_for(0, addresses));
  auto group0 = first.get(), group1 = late.get();
  ASSERT_TRUE(group0.ok() && group1.ok());
  expect_working(**group0, **group1);
}

// The address is known before anybody listens there, as after a restart of a device.
TEST(Join, DialsUntilThereIsAnAnswer) {
  Door gone = open_door(), one = open_door();
  const std::vector<std::string> addresses = {gone.address, one.address};
  gone.rendezvous.reset();
  const auto before = Clock::now();
  const auto result = join_async(&one, options_for(1, addresses, "right", 700)).get();
  ASSERT_FALSE(result.ok());
  EXPECT_GE(Clock::now() - before, 700ms);
  EXPECT_EQ(result.error().code(), Code::kDeadlineExceeded);
  EXPECT_THAT(result.error().message(), StartsWith("rank 0 at " + gone.address));
}

TEST(Join, NamesTheRankThatDidNotCome) {
  Door zero = open_door();
  const auto result =
      join_async(&zero, options_for(0, {zero.address, "127.0.0.1:9"}, "right", 300)).get();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kDeadlineExceeded);
  EXPECT_THAT(result.error().message(), StartsWith("rank 1 at 127.0.0.1:9 did not come"));
}

TEST(Join, AWrongTokenIsRefusedAndTheRightOneStillJoins) {
  Door zero = open_door(), one = open_door(), impostor = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  auto first = join_async(&zero, options_for(0, addresses));
  const auto refused = join_async(&impostor, options_for(1, addresses, "wrong")).get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), AllOf(StartsWith("rank 0 at"), HasSubstr("token")));
  auto group1 = join_async(&one, options_for(1, addresses)).get();
  auto group0 = first.get();
  ASSERT_TRUE(group0.ok() && group1.ok());
  expect_working(**group0, **group1);
}

TEST(Join, TheListenerLearnsThatOnlyAWrongTokenCame) {
  Door zero = open_door(), impostor = open_door();
  const std::vector<std::string> addresses = {zero.address, impostor.address};
  auto first = join_async(&zero, options_for(0, addresses, "right", 1000));
  EXPECT_FALSE(join_async(&impostor, options_for(1, addresses, "wrong")).get().ok());
  const auto result = first.get();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kPermissionDenied);
  EXPECT_THAT(result.error().message(), StartsWith("rank 1"));
}

// More strangers than are kept: silent ones, talkative ones, one that stops within a good hello,
// and one that feeds it byte by byte.
TEST(Join, StrangersDoNotDisturb) {
  Door zero = open_door(), one = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  auto first = join_async(&zero, options_for(0, addresses));
  std::vector<Socket> strangers;
  const std::string hello = Hello{.group_size = 2, .from = 1, .to = 0}.encode();
  for (int i = 0; i < 150; ++i) {
    strangers.push_back(connect_to(zero.address));
    if (i % 3 == 1) write_some(strangers.back(), "GET / HTTP/1.1\r\nHost: hearth\r\n\r\n");
    if (i % 3 == 2) write_some(strangers.back(), std::string_view(hello).substr(0, i % 26));
  }
  Socket slow = connect_to(zero.address);
  for (const char byte : hello) {
    write_some(slow, std::string_view(&byte, 1));
    std::this_thread::sleep_for(2ms);
  }
  Socket liar = connect_to(zero.address);
  write_some(liar, hello + std::string(32, 'x'));
  auto group1 = join_async(&one, options_for(1, addresses)).get();
  auto group0 = first.get();
  ASSERT_TRUE(group0.ok()) << group0.error().message();
  ASSERT_TRUE(group1.ok()) << group1.error().message();
  strangers.clear();
  expect_working(**group0, **group1);
}

TEST(Join, ThePortIsClosedAfterwards) {
  Door zero = open_door(), one = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  auto first = join_async(&zero, options_for(0, addresses));
  auto group1 = join_async(&one, options_for(1, addresses)).get();
  auto group0 = first.get();
  ASSERT_TRUE(group0.ok() && group1.ok());
  const Socket late = connect_to(zero.address);
  EXPECT_NE(connect_error(late), 0);
}

TEST(Join, AnotherTransportIsNamed) {
  Door zero = open_door(), one = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  GroupOptions unknown = options_for(1, addresses);
  unknown.transport = "pigeon";
  auto first = join_async(&zero, options_for(0, addresses));
  const auto result1 = join_async(&one, unknown).get();
  const auto result0 = first.get();
  ASSERT_FALSE(result1.ok());
  EXPECT_EQ(result1.error().code(), Code::kInvalidArgument);
  ASSERT_FALSE(result0.ok());
  EXPECT_THAT(result0.error().message(),
              AllOf(StartsWith("rank 1 at"), HasSubstr("failed to join"), HasSubstr("pigeon")));
}

TEST(Join, AutoSettlesOnTheSameTransportEverywhere) {
  Door zero = open_door(), one = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  GroupOptions any = options_for(0, addresses);
  any.transport = "auto";
  auto first = join_async(&zero, any);
  any.rank = 1;
  auto group1 = join_async(&one, any).get();
  auto group0 = first.get();
  ASSERT_TRUE(group0.ok() && group1.ok());
  EXPECT_EQ((*group0)->transport(), transport_names().front());
  EXPECT_EQ((*group1)->transport(), transport_names().front());
  expect_working(**group0, **group1);
}

// One rank lacks the best transport: the next one does.
TEST(Join, AutoTakesWhatEveryRankHas) {
  Door zero = open_door(), one = open_door();
  const std::vector<std::string> addresses = {zero.address, one.address};
  GroupOptions any = options_for(0, addresses);
  any.transport = "auto";
  auto first = join_async(&zero, any);
  auto group1 = join_async(&one, options_for(1, addresses)).get();
  auto group0 = first.get();
  ASSERT_TRUE(group0.ok() && group1.ok());
  EXPECT_EQ((*group0)->transport(), "tcp");
}

TEST(Join, WorksOverIpv6AndEveryInterface) {
  for (const std::string host : {"::1", ""}) {
    Door zero = open_door(host), one = open_door(host);
    const std::vector<std::string> addresses = {zero.address, one.address};
    auto first = join_async(&zero, options_for(0, addresses));
    auto group1 = join_async(&one, options_for(1, addresses)).get();
    auto group0 = first.get();
    ASSERT_TRUE(group0.ok() && group1.ok()) << host;
    expect_working(**group0, **group1);
  }
}

TEST(Join, RefusesWrongOptions) {
  const auto code_of = [](GroupOptions options, bool with_door = true) {
    Door door = open_door();
    const auto group = Group::join(with_door ? std::move(door.rendezvous) : nullptr, options);
    return group.ok() ? Code::kInternal : group.error().code();
  };
  const std::vector<std::string> two = {"127.0.0.1:1", "127.0.0.1:2"};
  EXPECT_EQ(code_of(options_for(0, {})), Code::kInvalidArgument);
  EXPECT_EQ(code_of(options_for(2, two)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(options_for(-1, two)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(options_for(0, two, "")), Code::kInvalidArgument);
  EXPECT_EQ(code_of(options_for(0, two), false), Code::kInvalidArgument);
  EXPECT_EQ(code_of(options_for(1, {"nowhere", "127.0.0.1:2"})), Code::kInvalidArgument);
  EXPECT_EQ(code_of(options_for(0, std::vector<std::string>(65, "a:1"))), Code::kInvalidArgument);
}

}  // namespace
}  // namespace hearth::fabric::testing
