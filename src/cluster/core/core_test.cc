#include "cluster/core/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/core/simulation.h"

namespace hearth::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

const InstanceView* only_instance(Simulation::Node& node) {
  const auto& instances = node.core->view().instances;
  return instances.size() == 1 ? &instances.begin()->second : nullptr;
}

bool planned_on(Simulation::Node& node, size_t devices) {
  const InstanceView* instance = only_instance(node);
  return instance != nullptr && instance->plan.ranks.size() == devices;
}

std::set<DeviceId> devices_of(const InstanceView& instance) {
  std::set<DeviceId> devices;
  for (const RankPlan& rank : instance.plan.ranks) devices.insert(rank.device);
  return devices;
}

// a, b, c, d; each knows a alone.
Simulation four_devices(uint64_t seed = 1) {
  Simulation simulation(seed);
  simulation.add("a", {});
  simulation.run_for(milliseconds(50));
  for (const char* name : {"b", "c", "d"}) {
    simulation.add(name, {"a"});
    simulation.run_for(milliseconds(50));
  }
  EXPECT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15)));
  return simulation;
}

TEST(CoreTest, JoinIsVisibleEverywhereWithinSeconds) {
  Simulation simulation = four_devices();
  simulation.add("e", {"d"});
  const auto took = simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15));
  ASSERT_TRUE(took.has_value());
  EXPECT_LE(*took, seconds(3));
  simulation.run_for(seconds(1));
  for (Simulation::Node* node : simulation.running()) {
    EXPECT_EQ(node->core->view().coordinator, simulation.at("a").id);
    EXPECT_EQ(node->core->view().devices.at(simulation.at("e").id).facts.name, "e");
  }
}

TEST(CoreTest, DiscoveryJoinsDevicesOfTheSameClusterOnly) {
  Simulation simulation(1);
  simulation.add("a", {});
  simulation.add("b", {});
  simulation.discover("a", "b", "another");
  simulation.run_for(seconds(5));
  EXPECT_EQ(simulation.at("a").core->view().devices.size(), 1u);
  simulation.discover("a", "b", "hearth");
  EXPECT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(5)));
}

TEST(CoreTest, KilledProcessesAreOfflineWithinSeconds) {
  Simulation simulation = four_devices();
  simulation.run_for(seconds(20));
  simulation.crash("c");
  const auto took = simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15));
  ASSERT_TRUE(took.has_value());
  EXPECT_LE(*took, seconds(5));
}

TEST(CoreTest, SilentDeathIsSeenByAllWithinTenSeconds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation simulation = four_devices(seed);
    simulation.run_for(milliseconds(seed * 517));
    simulation.part({{"c", 1}});  // the cable is pulled
    const auto gone = [&] {
      return simulation.status("a", "c") == DeviceStatus::kOffline &&
             simulation.status("b", "c") == DeviceStatus::kOffline &&
             simulation.status("d", "c") == DeviceStatus::kOffline;
    };
    const auto took = simulation.run_until(gone, seconds(15));
    ASSERT_TRUE(took.has_value()) << "seed " << seed;
    EXPECT_LE(*took, milliseconds(10'200)) << "seed " << seed;
    EXPECT_EQ(simulation.status("a", "b"), DeviceStatus::kOnline);
    simulation.part({});
    EXPECT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15)));
  }
}

TEST(CoreTest, GoodbyeIsSeenAtOnce) {
  Simulation simulation = four_devices();
  simulation.run_for(seconds(1));
  simulation.stop("b");
  EXPECT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, milliseconds(200)));
  simulation.start("b");
  EXPECT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(3)));
}

TEST(CoreTest, LossAloneKillsNobody) {
  Simulation simulation = four_devices();
  simulation.loss = 0.05;
  for (int i = 0; i < 600; ++i) {
    simulation.run_for(seconds(1));
    for (Simulation::Node* node : simulation.running()) {
      for (const auto& [id, device] : node->core->view().devices) {
        ASSERT_NE(device.status, DeviceStatus::kOffline) << "after " << i << " s";
      }
    }
  }
}

// A device that was stopped and goes on must not take the others for dead and plan without them.
TEST(CoreTest, AStoppedCoordinatorReturnsInPeace) {
  Simulation simulation = four_devices();
  simulation.create("b", 3);
  ASSERT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("d"), 3); }, seconds(3)));
  simulation.run_for(seconds(20));
  simulation.pause("a");
  simulation.run_for(minutes(2));
  EXPECT_EQ(simulation.status("b", "a"), DeviceStatus::kOffline);
  const InstanceView before = *only_instance(simulation.at("b"));
  EXPECT_FALSE(devices_of(before).contains(simulation.at("a").id));
  simulation.resume("a");
  ASSERT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15)));
  simulation.run_for(seconds(30));
  for (Simulation::Node* node : simulation.running()) {
    EXPECT_EQ(node->core->view().coordinator, simulation.at("a").id);
    EXPECT_EQ(only_instance(*node)->plan.epoch, before.plan.epoch);
  }
}

TEST(CoreTest, ADeviceThatOnlyCallsIsAMemberToo) {
  Simulation simulation(1);
  simulation.add("a", {});
  simulation.add("b", {"a"});
  simulation.shield("b");
  const auto joined = [&] {
    return simulation.all_see_all() && simulation.at("a").core->view().coordinator ==
                                           simulation.at("b").core->view().coordinator;
  };
  ASSERT_TRUE(simulation.run_until(joined, seconds(15)));
  EXPECT_EQ(simulation.at("a").core->view().devices.at(simulation.at("b").id).reachable_at, "");
  simulation.pause("a");
  simulation.run_for(minutes(1));
  simulation.resume("a");
  for (int i = 0; i < 6000; ++i) {
    simulation.run_for(milliseconds(10));
    ASSERT_EQ(simulation.status("a", "b"), DeviceStatus::kOnline) << i;
  }
  // What it wrote alone arrives, although a cannot ask for it.
  simulation.part({{"b", 1}});
  simulation.create("b", 1);
  simulation.run_for(minutes(1));
  simulation.part({});
  EXPECT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("a"), 1); }, seconds(15)));

  simulation.pause("b");
  EXPECT_TRUE(simulation.run_until(
      [&] { return simulation.status("a", "b") == DeviceStatus::kOffline; }, seconds(15)));
}

TEST(CoreTest, AnInstanceIsPlannedEverywhereInWellUnderASecond) {
  Simulation simulation = four_devices();
  simulation.create("c", 2);
  const auto took = simulation.run_until(
      [&] {
        for (Simulation::Node* node : simulation.running()) {
          if (!planned_on(*node, 2)) return false;
        }
        return true;
      },
      seconds(3));
  ASSERT_TRUE(took.has_value());
  EXPECT_LE(*took, milliseconds(500));
}

TEST(CoreTest, AnInstanceThatDoesNotFitWaitsForADevice) {
  Simulation simulation = four_devices();
  simulation.create("b", 5);
  simulation.run_for(seconds(2));
  const InstanceView* waiting = only_instance(simulation.at("c"));
  ASSERT_NE(waiting, nullptr);
  EXPECT_TRUE(waiting->plan.empty());
  EXPECT_EQ(waiting->message, "ember needs 5 devices and 4 are online");
  simulation.add("e", {"a"});
  ASSERT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("c"), 5); }, seconds(5)));
  EXPECT_EQ(only_instance(simulation.at("c"))->message, "");

  // Another one that comes moves nothing.
  const int64_t epoch = only_instance(simulation.at("c"))->plan.epoch;
  simulation.add("f", {"a"});
  simulation.run_for(seconds(20));
  EXPECT_EQ(only_instance(simulation.at("c"))->plan.epoch, epoch);
}

TEST(CoreTest, AnInstanceIsPlannedAnewWhenADeviceDies) {
  for (const char* victim : {"a", "b"}) {  // the coordinator, and another
    Simulation simulation = four_devices();
    simulation.create("b", 4);
    ASSERT_TRUE(
        simulation.run_until([&] { return planned_on(simulation.at("d"), 4); }, seconds(3)));
    simulation.run_for(seconds(3));
    const Plan before = only_instance(simulation.at("d"))->plan;
    simulation.crash(victim);
    ASSERT_TRUE(
        simulation.run_until([&] { return planned_on(simulation.at("d"), 3); }, seconds(15)));
    const InstanceView after = *only_instance(simulation.at("d"));
    EXPECT_GT(after.plan.epoch, before.epoch);
    EXPECT_NE(after.plan.token, before.token);
    EXPECT_FALSE(devices_of(after).contains(simulation.at(victim).id));
    EXPECT_EQ(after.min_devices, 4);
  }
}

// Devices a, b and c, which have not measured anything, and a model whose speed can be predicted.
Simulation unmeasured_devices() {
  Simulation simulation(1);
  simulation.model.token_bytes = simulation.model.total_bytes();
  simulation.model.token_multiply_adds = simulation.model.token_bytes;
  simulation.model.hidden = 1024;
  simulation.model.kv_heads = 8;
  simulation.model.slices_max = 8;
  for (const char* name : {"a", "b", "c"}) {
    simulation.add(name, name == std::string("a") ? std::vector<std::string>{}
                                                  : std::vector<std::string>{"a"});
  }
  EXPECT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(5)));
  return simulation;
}

TEST(CoreTest, PlansWaitForLinksThatAreBeingMeasured) {
  Simulation simulation = unmeasured_devices();
  simulation.create("b", 3);
  simulation.run_for(seconds(1));
  EXPECT_EQ(only_instance(simulation.at("c"))->message, "waiting until the speed of a is measured");
  for (const char* name : {"a", "b", "c"}) simulation.measure(name, {});
  simulation.run_for(seconds(1));
  EXPECT_THAT(only_instance(simulation.at("c"))->message,
              AllOf(HasSubstr("waiting until the link between "), HasSubstr(" is measured")));
  EXPECT_TRUE(only_instance(simulation.at("c"))->plan.empty());
  simulation.measure("a", {"b", "c"});
  simulation.run_for(milliseconds(500));
  EXPECT_FALSE(planned_on(simulation.at("c"), 3)) << "the link between b and c is not known";
  simulation.measure("b", {"c"});
  ASSERT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("c"), 3); }, seconds(1)));
  const InstanceView& planned = *only_instance(simulation.at("c"));
  EXPECT_EQ(planned.plan.slices, 3) << "faster than a pipeline over such links";
  EXPECT_GT(planned.plan.token_ns, 0);
  EXPECT_EQ(planned.message, "");
}

TEST(CoreTest, PlansWaitForLinksNoLongerThanTenSeconds) {
  Simulation simulation = unmeasured_devices();
  for (const char* name : {"a", "b", "c"}) simulation.measure(name, {});
  simulation.create("b", 2);
  simulation.run_for(seconds(8));
  EXPECT_FALSE(planned_on(simulation.at("c"), 2));
  ASSERT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("c"), 2); }, seconds(3)));
  EXPECT_EQ(only_instance(simulation.at("c"))->plan.slices, 1);

  // What could not be measured in that time is not waited for again.
  const Plan before = only_instance(simulation.at("c"))->plan;
  simulation.run_for(seconds(2));
  for (const char* name : {"b", "c"}) {
    if (!devices_of(*only_instance(simulation.at("a"))).contains(simulation.at(name).id)) continue;
    simulation.stop(name);
    break;
  }
  const auto took = simulation.run_until(
      [&] {
        const InstanceView* instance = only_instance(simulation.at("a"));
        return instance->plan.epoch > before.epoch && !instance->plan.empty();
      },
      seconds(15));
  ASSERT_TRUE(took.has_value());
  EXPECT_LE(*took, milliseconds(500));
}

TEST(CoreTest, PlansWaitForNothingThatDecidesNothing) {
  const auto planned_at_once = [](Simulation& simulation, size_t devices) {
    const auto took =
        simulation.run_until([&] { return planned_on(simulation.at("a"), devices); }, seconds(15));
    return took.has_value() && *took <= milliseconds(500);
  };
  Simulation alone = unmeasured_devices();
  alone.create("b", 1);
  EXPECT_TRUE(planned_at_once(alone, 1)) << "one device";

  Simulation pipeline = unmeasured_devices();
  for (const char* name : {"a", "b", "c"}) pipeline.measure(name, {});
  pipeline.run_for(milliseconds(500));
  pipeline.create("a", 2, "pipeline");
  EXPECT_TRUE(planned_at_once(pipeline, 2)) << "a pipeline is cut by speeds alone";

  Simulation down = unmeasured_devices();
  down.measure("a", {"b", "c"}, "no route to host");
  down.measure("b", {"a", "c"}, "no route to host");
  down.measure("c", {"a", "b"}, "no route to host");
  down.run_for(milliseconds(500));
  down.create("a", 2);
  EXPECT_TRUE(planned_at_once(down, 2)) << "links that both ends tried";
}

TEST(CoreTest, FailedRunnersAreStartedAgainWithGrowingPauses) {
  Simulation simulation = four_devices();
  simulation.runners_work = false;
  simulation.create("b", 2);
  ASSERT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("d"), 2); }, seconds(3)));
  std::set<int64_t> epochs;
  for (int i = 0; i < 60; ++i) {
    simulation.run_for(seconds(1));
    epochs.insert(only_instance(simulation.at("d"))->plan.epoch);
  }
  // 0.5 s, 1 s, 2 s, 4 s, 8 s, 16 s, 30 s, and a second for each failure.
  EXPECT_GE(epochs.size(), 5u);
  EXPECT_LE(epochs.size(), 8u);
  EXPECT_GE(only_instance(simulation.at("d"))->failures, 4);
  EXPECT_THAT(only_instance(simulation.at("d"))->message, HasSubstr("out of memory"));
  simulation.runners_work = true;
  simulation.run_for(seconds(60));
  EXPECT_EQ(only_instance(simulation.at("d"))->failures, 0);
  EXPECT_EQ(only_instance(simulation.at("d"))->message, "");
}

// Ranks that live keep their weights only if they get the same layers again; a plan that fails
// again is thought over.
TEST(CoreTest, APlanThatWorkedIsTriedAgainAsItWasOnce) {
  Simulation simulation = four_devices();
  simulation.create("b", 2);
  ASSERT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("d"), 2); }, seconds(3)));
  simulation.run_for(seconds(3));
  const Plan first = only_instance(simulation.at("d"))->plan;
  // From now on another device would be the head.
  simulation.add("e", {"a"}, 64_GiB);
  ASSERT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15)));

  simulation.kill_runners();
  const auto planned_after = [&](int64_t epoch) {
    return [&simulation, epoch] { return only_instance(simulation.at("d"))->plan.epoch > epoch; };
  };
  ASSERT_TRUE(simulation.run_until(planned_after(first.epoch), seconds(3)));
  const Plan again = only_instance(simulation.at("d"))->plan;
  EXPECT_NE(again.token, first.token);
  ASSERT_EQ(again.ranks.size(), first.ranks.size());
  for (size_t rank = 0; rank < first.ranks.size(); ++rank) {
    EXPECT_EQ(again.ranks[rank].device, first.ranks[rank].device);
    EXPECT_EQ(again.ranks[rank].layer_begin, first.ranks[rank].layer_begin);
    EXPECT_EQ(again.ranks[rank].layer_end, first.ranks[rank].layer_end);
  }

  ASSERT_TRUE(simulation.run_until(planned_after(again.epoch), seconds(5)));
  EXPECT_TRUE(devices_of(*only_instance(simulation.at("d"))).contains(simulation.at("e").id));
}

TEST(CoreTest, WhatIsDeletedStaysDeleted) {
  Simulation simulation = four_devices();
  simulation.create("b", 2);
  ASSERT_TRUE(simulation.run_until([&] { return planned_on(simulation.at("d"), 2); }, seconds(3)));
  const InstanceId id = only_instance(simulation.at("d"))->id;
  // Deleted on one side while the other plans anew, later.
  simulation.part({{"c", 1}, {"d", 1}});
  simulation.remove("a", id);
  simulation.run_for(seconds(30));
  EXPECT_TRUE(simulation.at("b").core->view().instances.empty());
  EXPECT_EQ(simulation.at("d").core->view().instances.size(), 1u);
  simulation.part({});
  simulation.run_for(seconds(30));
  for (Simulation::Node* node : simulation.running()) {
    EXPECT_TRUE(node->core->view().instances.empty()) << node->name;
  }
}

TEST(CoreTest, OfflineDevicesAreForgottenAfterAnHour) {
  Simulation simulation(1);
  simulation.add("a", {});
  simulation.add("b", {"a"});
  simulation.add("c", {"a"});
  ASSERT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15)));
  simulation.crash("c");
  simulation.run_for(minutes(55));
  EXPECT_EQ(simulation.at("a").core->view().devices.size(), 3u);
  simulation.run_for(minutes(10));
  EXPECT_EQ(simulation.at("a").core->view().devices.size(), 2u);
  EXPECT_EQ(simulation.at("b").core->view().devices.size(), 2u);
  EXPECT_EQ(simulation.at("a").core->documents().find(device_key(simulation.at("c").id.str())),
            nullptr);
  simulation.start("c");
  EXPECT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(15)));
}

TEST(CoreTest, RefusalsAreSaidAndLoggedOnceAMinute) {
  Core core({.self = DeviceId(std::string(64, 'a')),
             .cluster = "hearth",
             .device_port = 1,
             .random_hex = [](int) { return "00"; }});
  const DeviceId stranger(std::string(64, 'b'));
  TimePoint now{seconds(10)};
  int warnings = 0;
  for (int i = 0; i < 100; ++i) {
    HelloRequest hello{
        .cluster = "other", .protocol = kProtocol, .device = stranger, .device_port = 2};
    if (i % 2 == 1)
      hello = {.cluster = "hearth", .protocol = 99, .device = stranger, .device_port = 2};
    now += seconds(1);
    const Actions actions = core.tick(
        now, 1000,
        {event::Called{.call = 7, .from = stranger, .host = "10.0.0.9", .request = hello}});
    ASSERT_EQ(actions.answers.size(), 1u);
    EXPECT_NE(std::get<HelloReply>(actions.answers[0].reply).refusal, "");
    warnings += static_cast<int>(actions.log.size());
  }
  EXPECT_EQ(warnings, 2);
  EXPECT_FALSE(core.membership().is_member(stranger));
}

TEST(CoreTest, HostileCallsChangeNothing) {
  const DeviceId self(std::string(64, 'a'));
  const DeviceId peer(std::string(64, 'b'));
  Core core({.self = self, .cluster = "hearth", .device_port = 1, .random_hex = [](int bytes) {
               return std::string(static_cast<size_t>(2 * bytes), '1');
             }});
  const auto call = [&](Request request) {
    return core.tick(
        TimePoint(seconds(10)), 1000,
        {event::Called{.call = 7, .from = peer, .host = "10.0.0.9", .request = request}});
  };
  // Not a member yet.
  const Actions early = call(SyncRequest{});
  EXPECT_TRUE(std::holds_alternative<NotMember>(early.answers.at(0).reply));
  call(HelloRequest{
      .cluster = "hearth", .protocol = kProtocol, .device = peer, .device_port = 99999});
  ASSERT_TRUE(core.membership().is_member(peer));

  SyncRequest sync;
  const std::string other(64, 'c');
  sync.documents = {
      {.key = "device/" + other, .version = {{peer.str(), 1}}, .body = "{}"},  // not its own
      {.key = "device/" + peer.str(), .version = {{peer.str(), 1}}, .body = "[[["},
      {.key = "runners/" + peer.str(), .version = {{peer.str(), 1}}, .body = R"({"runners":7})"},
      {.key = "instance/0123456789abcdef", .version = {{peer.str(), 1}}, .body = R"({"model":1})"},
      {.key = "instance/../../etc/passwd", .version = {{peer.str(), 1}}, .body = "{}"},
      {.key = "instance/0123456789abcdee", .version = {{peer.str(), ~0ull}}, .body = "{}"},
      {.key = "", .version = {}, .body = ""},
  };
  sync.digest = {{"nonsense", {{"x", 1}}}, {"device/" + self.str(), {{self.str(), ~0ull}}}};
  const Actions actions = call(sync);
  const auto& reply = std::get<SyncReply>(actions.answers.at(0).reply);
  EXPECT_THAT(reply.wanted, testing::Not(testing::Contains("nonsense")));
  const ClusterView& view = core.view();
  EXPECT_EQ(view.devices.size(), 1u);
  EXPECT_TRUE(view.instances.empty());
  EXPECT_TRUE(view.runners.empty());
  EXPECT_EQ(view.coordinator, self);
}

// Everything at once, then quiet: all must agree.
class ChaosTest : public testing::TestWithParam<int> {};

TEST_P(ChaosTest, DevicesAgreeAfterTheStorm) {
  const auto seed = static_cast<uint64_t>(GetParam());
  Simulation simulation(seed);
  const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
  for (const std::string& name : names) {
    simulation.add(name, name == "a" ? std::vector<std::string>{} : std::vector<std::string>{"a"});
    simulation.run_for(milliseconds(300));
  }
  auto& random = simulation.random();
  std::map<std::string, std::map<InstanceId, int64_t>> epochs;  // must not fall
  std::set<InstanceId> deleted;
  for (int step = 0; step < 60; ++step) {
    const std::string name = names[random() % names.size()];
    Simulation::Node& node = simulation.at(name);
    switch (random() % 9) {
      case 0:
        if (node.core != nullptr) simulation.crash(name);
        break;
      case 1:
        if (node.core != nullptr) simulation.stop(name);
        break;
      case 2:
      case 3:
        if (node.core == nullptr) simulation.start(name);
        break;
      case 4:
        simulation.part({{name, 1}, {names[random() % names.size()], 1}});
        break;
      case 5:
        simulation.part({});
        break;
      case 6:
        simulation.loss = static_cast<double>(random() % 30) / 100;
        break;
      case 7:
        if (node.core != nullptr) simulation.create(name, static_cast<int>(random() % 3) + 1);
        break;
      case 8:
        if (node.core != nullptr && !node.core->view().instances.empty() && random() % 3 == 0) {
          deleted.insert(node.core->view().instances.begin()->first);
          simulation.remove(name, node.core->view().instances.begin()->first);
        }
        break;
    }
    simulation.run_for(milliseconds(random() % 6000));
    for (Simulation::Node* running : simulation.running()) {
      for (const auto& [id, instance] : running->core->view().instances) {
        int64_t& before = epochs[running->name][id];
        ASSERT_GE(instance.plan.epoch, before) << "seed " << seed << " step " << step;
        before = instance.plan.epoch;
      }
    }
  }

  simulation.loss = 0;
  simulation.part({});
  for (const std::string& name : names) {
    if (simulation.at(name).core == nullptr) simulation.start(name);
  }
  ASSERT_TRUE(simulation.run_until([&] { return simulation.all_see_all(); }, seconds(30)))
      << "seed " << seed;
  simulation.run_for(seconds(60));
  const Simulation::Node& first = simulation.at("a");
  for (Simulation::Node* node : simulation.running()) {
    const ClusterView& view = node->core->view();
    EXPECT_EQ(view.coordinator, first.id) << "seed " << seed;
    EXPECT_EQ(node->core->documents().all(), first.core->documents().all())
        << "seed " << seed << " " << node->name;
    for (const auto& [id, instance] : view.instances) {
      EXPECT_FALSE(deleted.contains(id)) << "seed " << seed;
      EXPECT_FALSE(instance.plan.empty()) << "seed " << seed << " " << instance.message;
      EXPECT_EQ(instance.failures, 0) << "seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChaosTest, testing::Range(1, 41));

}  // namespace
}  // namespace hearth::cluster
