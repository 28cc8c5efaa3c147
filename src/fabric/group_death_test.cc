// Ranks that die as processes do. This program is its own second and third rank: with `--as-rank`
// it joins the group that its standard input describes, waits for a message that never comes, and
// reports the error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "fabric/child_testing.h"
#include "fabric/collectives.h"
#include "fabric/group.h"
#include "fabric/group_testing.h"

namespace hearth::fabric::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Tag kNever = 1;
constexpr const char* kToken = "a token for processes";

// Sums with the others until that is an error.
Error sum_until_it_fails(Group& group) {
  auto team = Collectives::create(group, {0, 1, 2});
  Result<void> result;
  std::vector<float> data(100'000);
  while (result.ok()) result = (*team)->all_reduce(data);
  return result.error();
}

// Protocol of a child: it prints its port, reads all addresses on one line, prints "joined", and in
// the end the message of the error that it got. "compute" as behaviour: it calls nothing until told
// to; "sum": it takes part in sums.
int be_a_rank(int rank, const std::string& transport, const std::string& behaviour) {
  auto door = Rendezvous::listen("127.0.0.1");
  if (!door.ok()) return 1;
  std::cout << (*door)->port() << std::endl;
  std::string line;
  std::getline(std::cin, line);
  std::istringstream words(line);
  GroupOptions options{.rank = rank, .token = kToken, .transport = transport};
  for (std::string address; words >> address;) options.addresses.push_back(address);
  auto group = Group::join(std::move(*door), options);
  if (!group.ok()) {
    std::cout << group.error().message() << std::endl;
    return 1;
  }
  std::cout << "joined" << std::endl;
  if (behaviour == "compute") std::getline(std::cin, line);
  if (behaviour == "sum") {
    std::cout << sum_until_it_fails(**group).message() << std::endl;
    return 0;
  }
  std::vector<std::byte> data;
  const auto result = (*group)->recv(0, kNever, &data);
  std::cout << (result.ok() ? "received " + text_of(data) : result.error().message()) << std::endl;
  return 0;
}

class GroupDeath : public ::testing::TestWithParam<Way> {
 protected:
  // This process is rank 0, the children are 1 and 2.
  void start(const std::string& behaviour) {
    auto door = Rendezvous::listen("127.0.0.1");
    ASSERT_TRUE(door.ok());
    GroupOptions options{.rank = 0, .token = kToken, .transport = GetParam().transport};
    options.addresses = {"127.0.0.1:" + std::to_string((*door)->port())};
    for (const int rank : {1, 2}) {
      children_.push_back(std::make_unique<Child>(std::vector<std::string>{
          "--as-rank", std::to_string(rank), GetParam().transport, behaviour}));
      options.addresses.push_back("127.0.0.1:" + children_.back()->hear());
    }
    std::string line;
    for (const std::string& address : options.addresses) line += address + " ";
    for (const auto& child : children_) child->tell(line);
    auto group = Group::join(std::move(*door), options);
    ASSERT_TRUE(group.ok()) << group.error().message();
    group_ = std::move(*group);
    for (const auto& child : children_) ASSERT_EQ(child->hear(), "joined");
    rank1_ = "rank 1 at " + options.addresses[1];
  }

  // What a receive from the rank that did not die says, and that it says so soon.
  std::string error_of_recv(int from) {
    std::vector<std::byte> data;
    const auto result = group_->recv(from, kNever, &data);
    EXPECT_FALSE(result.ok());
    if (result.ok()) return "";
    EXPECT_EQ(result.error().code(), Code::kUnavailable);
    return result.error().message();
  }

  WayScope scope_{GetParam()};
  std::vector<std::unique_ptr<Child>> children_;
  std::unique_ptr<Group> group_;
  std::string rank1_;
};

INSTANTIATE_TEST_SUITE_P(Ways, GroupDeath, ::testing::ValuesIn(socket_ways()),
                         [](const auto& info) { return info.param.name; });

TEST_P(GroupDeath, AKilledRankIsNoticedByEveryWaitingRank) {
  start("wait");
  Clock::time_point before;
  std::thread killer([&] {
    std::this_thread::sleep_for(100ms);
    before = Clock::now();
    children_[0]->signal(SIGKILL);
  });
  EXPECT_EQ(error_of_recv(2), rank1_ + " died: connection closed");
  EXPECT_EQ(children_[1]->hear(), rank1_ + " died: connection closed");
  killer.join();
  EXPECT_LT(Clock::now() - before, kNoticedWithin);
  EXPECT_THAT(error_of_recv(1), StartsWith(rank1_));
}

TEST_P(GroupDeath, AKilledRankEndsASendToIt) {
  start("compute");  // takes nothing, so that the send waits
  Clock::time_point before;
  std::thread killer([&] {
    std::this_thread::sleep_for(100ms);
    before = Clock::now();
    children_[0]->signal(SIGKILL);
  });
  const std::vector<std::byte> large(8 << 20);
  Result<void> sent;
  while (sent.ok()) sent = group_->send(1, kNever + 1, large);
  killer.join();
  EXPECT_LT(Clock::now() - before, kNoticedWithin);
  EXPECT_EQ(sent.error().message(), rank1_ + " died: connection closed");
}

TEST_P(GroupDeath, AStoppedRankIsNoticedByEveryWaitingRankAndByItselfAfterwards) {
  start("wait");
  const auto before = Clock::now();
  children_[0]->signal(SIGSTOP);
  EXPECT_THAT(error_of_recv(2), StartsWith(rank1_ + " died: silent"));
  EXPECT_THAT(children_[1]->hear(), StartsWith(rank1_ + " died: silent"));
  EXPECT_LT(Clock::now() - before, kNoticedWithin);
  children_[0]->signal(SIGCONT);
  EXPECT_THAT(children_[0]->hear(), StartsWith(rank1_ + " died: silent"));
}

TEST_P(GroupDeath, ARankThatDiesInASumEndsItOnEveryRank) {
  for (const int number : {SIGKILL, SIGSTOP}) {
    children_.clear();
    start("sum");
    Clock::time_point before;
    std::thread killer([&] {
      std::this_thread::sleep_for(100ms);
      before = Clock::now();
      children_[0]->signal(number);
    });
    const std::string end = rank1_ + (number == SIGKILL ? " died: connection closed" : " died: si");
    EXPECT_THAT(sum_until_it_fails(*group_).message(), StartsWith(end));
    EXPECT_THAT(children_[1]->hear(), StartsWith(end));
    killer.join();
    EXPECT_LT(Clock::now() - before, kNoticedWithin);
  }
}

TEST_P(GroupDeath, TheReasonOfAFailureReachesOtherProcesses) {
  start("wait");
  group_->fail("the disk is full");
  for (const auto& child : children_) {
    const std::string error = child->hear();
    EXPECT_THAT(error, StartsWith("rank 0 at 127.0.0.1:"));
    EXPECT_THAT(error, HasSubstr("failed: the disk is full"));
  }
}

TEST_P(GroupDeath, ARankThatCallsNothingForLongIsNotDead) {
  start("compute");
  std::this_thread::sleep_for(3s);
  EXPECT_TRUE(group_->status().ok());
  for (const int rank : {1, 2}) {
    children_[rank - 1]->tell("go on");
    const auto sent = group_->send(rank, kNever, bytes_of("hello"));
    EXPECT_TRUE(sent.ok()) << sent.error().message();
    EXPECT_EQ(children_[rank - 1]->hear(), "received hello");
  }
}

// A network namespace in which `body` runs, on a thread of its own, with the loopback as its only
// interface. False where the system refuses.
bool in_own_network(const std::function<void()>& body) {
  bool granted = false;
  std::thread([&] {
    granted = ::unshare(CLONE_NEWNET) == 0 && std::system("ip link set lo up") == 0;
    if (granted) body();
  }).join();
  return granted;
}

class GroupLinkCut : public ::testing::TestWithParam<Way> {
 protected:
  WayScope scope_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Ways, GroupLinkCut, ::testing::ValuesIn(socket_ways()),
                         [](const auto& info) { return info.param.name; });

// From one moment on packets vanish; no connection is closed.
TEST_P(GroupLinkCut, EveryRankNamesOneThatItNoLongerHears) {
  const bool granted = in_own_network([] {
    Joined joined = join_all(GetParam(), 3);
    Clock::time_point before;
    std::thread cutter([&] {
      std::this_thread::sleep_for(300ms);
      before = Clock::now();
      EXPECT_EQ(std::system("ip link set lo down"), 0);
    });
    on_every_rank(&joined, [&](Group& group) {
      std::vector<std::byte> data;
      const auto result = group.recv((group.rank() + 1) % 3, kNever, &data);
      EXPECT_LT(Clock::now() - before, kNoticedWithin);
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().code(), Code::kUnavailable);
      EXPECT_THAT(result.error().message(),
                  AllOf(StartsWith("rank "), HasSubstr("died: silent"),
                        Not(StartsWith("rank " + std::to_string(group.rank())))));
    });
    cutter.join();
  });
  if (!granted) std::cerr << "network namespaces are refused here: no link was cut\n";
}

}  // namespace
}  // namespace hearth::fabric::testing

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "--as-rank") {
    return hearth::fabric::testing::be_a_rank(std::atoi(argv[2]), argv[3], argv[4]);
  }
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
