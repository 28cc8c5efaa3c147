#include "fabric/network_testing.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <barrier>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

namespace hearth::fabric::testing {
namespace {

bool run(const std::string& command) { return std::system(command.c_str()) == 0; }

std::string address_of(int rank) { return "10.78.0." + std::to_string(rank + 1); }

// Ends with the threads on it.
class Lan {
 public:
  Lan(int size, const std::string& transport, Sysfs sysfs)
      : transport_(transport), sysfs_(sysfs), ports_(size), machines_(size), step_(size + 1) {}

  // Whether the system grants the bridge and the machines; on a thread of its own.
  bool run(const std::function<void(Group&)>& body,
           const std::function<void(const Bridge&)>& meanwhile) {
    const bool granted = ::unshare(CLONE_NEWNET) == 0 &&
                         testing::run("ip link add lan type bridge") &&
                         testing::run("ip link set lan up");
    if (!granted) return false;
    std::vector<std::thread> threads;
    for (int rank = 0; rank < static_cast<int>(machines_.size()); ++rank) {
      threads.emplace_back([&, rank] { be_machine(rank, body); });
    }
    step_.arrive_and_wait();  // they are in networks of their own
    for (int rank = 0; rank < static_cast<int>(machines_.size()); ++rank) connect(rank);
    step_.arrive_and_wait();  // which have cables
    step_.arrive_and_wait();  // and listeners
    step_.arrive_and_wait();  // they have joined
    if (meanwhile != nullptr) meanwhile(Bridge());
    for (std::thread& thread : threads) thread.join();
    return true;
  }

 private:
  // A bridge lets only frames pass of ports that are its own.
  void connect(int rank) {
    const std::string cable = "cable" + std::to_string(rank);
    EXPECT_TRUE(testing::run("ip link add " + cable + " type veth peer name machine netns " +
                             std::to_string(machines_[rank])));
    EXPECT_TRUE(testing::run("ip link set " + cable + " master lan up"));
  }

  void be_machine(int rank, const std::function<void(Group&)>& body) {
    EXPECT_EQ(::unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
    machines_[rank] = ::gettid();
    step_.arrive_and_wait();
    step_.arrive_and_wait();
    EXPECT_TRUE(testing::run("ip link set lo up && ip link set machine up && ip address add " +
                             address_of(rank) + "/24 dev machine"));
    if (sysfs_ == Sysfs::kOwn) {
      EXPECT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
      EXPECT_EQ(::mount("sysfs", "/sys", "sysfs", 0, nullptr), 0);
    }
    auto door = Rendezvous::listen(address_of(rank));
    EXPECT_TRUE(door.ok());
    ports_[rank] = (*door)->port();
    step_.arrive_and_wait();
    GroupOptions options{.rank = rank, .token = "a token for machines", .transport = transport_};
    for (int other = 0; other < static_cast<int>(ports_.size()); ++other) {
      options.addresses.push_back(address_of(other) + ":" + std::to_string(ports_[other]));
    }
    auto group = Group::join(std::move(*door), options);
    EXPECT_TRUE(group.ok()) << group.error().message();
    step_.arrive_and_wait();
    if (group.ok()) body(**group);
  }

  const std::string transport_;
  const Sysfs sysfs_;
  std::vector<int> ports_;       // of the ranks' listeners
  std::vector<pid_t> machines_;  // the threads
  std::barrier<> step_;
};

}  // namespace

void Bridge::lose_packets_of(int rank) const {
  EXPECT_TRUE(run("ip link set cable" + std::to_string(rank) + " nomaster"));
}

bool on_machines(int size, const std::string& transport, Sysfs sysfs,
                 const std::function<void(Group&)>& body,
                 const std::function<void(const Bridge&)>& meanwhile) {
  bool granted = false;
  std::thread([&] { granted = Lan(size, transport, sysfs).run(body, meanwhile); }).join();
  if (!granted) std::cerr << "network namespaces are refused here: no machines were joined\n";
  return granted;
}

}  // namespace hearth::fabric::testing
