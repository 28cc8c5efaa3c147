// Devices as processes of their own: the ways in which real ones go, and finding each other.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cluster/testing/process.h"

namespace hearth::cluster {
namespace {

using std::chrono::seconds;

// Within this, joining and dying must be visible everywhere.
constexpr auto kVisible = seconds(15);

class Node {
 public:
  Node(const ScratchDirectory& scratch, const std::string& name,
       const std::vector<std::string>& peers)
      : process_(command(scratch, name, peers)) {
    EXPECT_TRUE(eventually([this] { return !process_.last("port=").empty(); }));
  }

  std::string address() { return "127.0.0.1:" + process_.last("port="); }
  bool sees(const std::string& state) { return process_.last("a=") == state; }
  void signal(int number) { process_.signal(number); }

 private:
  static std::vector<std::string> command(const ScratchDirectory& scratch, const std::string& name,
                                          const std::vector<std::string>& peers) {
    std::vector<std::string> words = {HEARTH_CLUSTER_NODE, scratch.path() + "/" + name, name,
                                      "127.0.0.1"};
    words.insert(words.end(), peers.begin(), peers.end());
    return words;
  }

  Process process_;
};

TEST(ProcessTest, StoppedAndKilledDevicesAreOfflineEverywhereAndReturn) {
  ScratchDirectory scratch;
  Node a(scratch, "a", {"127.0.0.1:1"});
  Node b(scratch, "b", {a.address()});
  Node c(scratch, "c", {a.address()});
  const std::string all = "online b=online c=online coordinator=a";
  ASSERT_TRUE(eventually([&] { return a.sees(all) && b.sees(all) && c.sees(all); }, kVisible));

  c.signal(SIGSTOP);
  const std::string without_c = "online b=online c=offline coordinator=a";
  EXPECT_TRUE(eventually([&] { return a.sees(without_c) && b.sees(without_c); }, kVisible));
  c.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return a.sees(all) && b.sees(all) && c.sees(all); }, kVisible));

  a.signal(SIGKILL);
  const std::string without_a = "offline b=online c=online coordinator=b";
  EXPECT_TRUE(eventually([&] { return b.sees(without_a) && c.sees(without_a); }, kVisible));
  Node again(scratch, "a", {b.address()});
  EXPECT_TRUE(eventually([&] { return again.sees(all) && b.sees(all) && c.sees(all); }, kVisible));
}

// Devices that know nothing of each other, in networks of their own where the system lets us make
// some.
TEST(ProcessTest, DevicesFindEachOtherByMulticast) {
  ScratchDirectory scratch;
  if (std::system("unshare -rnp --fork true 2> /dev/null") != 0) {
    Process first({HEARTH_CLUSTER_NODE, scratch.path() + "/1", "device1", "0.0.0.0"});
    Process second({HEARTH_CLUSTER_NODE, scratch.path() + "/2", "device2", "0.0.0.0"});
    EXPECT_TRUE(eventually(
        [&] {
          return first.last("device1=online device2=online ").starts_with("coordinator") &&
                 second.last("device1=online device2=online ").starts_with("coordinator");
        },
        kVisible));
    return;
  }
  Process networks({"unshare", "-rnp", "--fork", "--kill-child",
                    HEARTH_SOURCE_DIR "/src/cluster/testing/two_networks.sh", HEARTH_CLUSTER_NODE,
                    scratch.path()});
  const auto see = [&](const std::string& at_1, const std::string& at_2) {
    return networks.last("1: device1=").starts_with(at_1) &&
           networks.last("2: device1=").starts_with(at_2);
  };
  EXPECT_TRUE(
      eventually([&] { return see("online device2=online", "online device2=online"); }, kVisible));
  networks.tell("pull 2");
  EXPECT_TRUE(eventually([&] { return see("online device2=offline", "offline device2=online"); },
                         kVisible));
  networks.tell("plug 2");
  EXPECT_TRUE(
      eventually([&] { return see("online device2=online", "online device2=online"); }, kVisible));
}

}  // namespace
}  // namespace hearth::cluster
