#include "daemon/reconcile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::daemon {
namespace {

using cluster::ClusterView;
using cluster::DeviceStatus;
using cluster::InstanceView;
using cluster::RunnerStatus;
using cluster::RunnerView;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const DeviceId kSelf("self");
const DeviceId kOther("other");
const InstanceId kInstance("instance");

// Two devices; one instance of six layers: this device the head, the other the second stage.
ClusterView two_stages(int64_t epoch = 3) {
  ClusterView view;
  view.self = kSelf;
  // Measured, without any path that is good: where the other answered last must do.
  view.devices[kSelf] = {
      .facts = {.id = kSelf, .links = {{.to = kOther, .host = "10.0.0.2", .error = "refused"}}},
      .status = DeviceStatus::kOnline};
  view.devices[kOther] = {
      .facts = {.id = kOther}, .status = DeviceStatus::kOnline, .reachable_at = "10.0.0.2:52416"};
  InstanceView instance{.id = kInstance, .model = "ember", .min_devices = 2, .kv = "q8"};
  instance.plan = {.epoch = epoch,
                   .token = "secret",
                   .ranks = {{.device = kSelf, .layer_begin = 0, .layer_end = 4},
                             {.device = kOther, .layer_begin = 4, .layer_end = 6}}};
  view.instances[kInstance] = instance;
  return view;
}

// A path from this device to the other.
cluster::LinkFacts link(const std::string& host, int64_t latency_ns, int64_t bits_per_second) {
  return {.to = kOther, .host = host, .latency_ns = latency_ns, .bits_per_second = bits_per_second};
}

LocalRunner own(RunnerStatus status, int64_t epoch = 3) {
  return {.view = {.device = kSelf,
                   .instance = kInstance,
                   .epoch = epoch,
                   .rank = 0,
                   .status = status,
                   .layers_total = 4,
                   .rendezvous_port = status == RunnerStatus::kLoaded ? 40000 : 0},
          .part = {.model = "ember", .kv = "q8", .layer_begin = 0, .layer_end = 4}};
}

// Its group failed, its process lives.
LocalRunner kept(int64_t epoch = 3) {
  LocalRunner runner = own(RunnerStatus::kFailed, epoch);
  runner.view.layers_loaded = runner.view.layers_total;
  return runner;
}

RunnerView other(RunnerStatus status, int64_t epoch = 3) {
  return {.device = kOther,
          .instance = kInstance,
          .epoch = epoch,
          .rank = 1,
          .status = status,
          .rendezvous_port = 40001};
}

TEST(Reconcile, StartsTheRankPlannedForThisDevice) {
  const Actions actions = reconcile(two_stages(), {});
  ASSERT_THAT(actions.start, SizeIs(1));
  const StartRunner& start = actions.start[0];
  EXPECT_EQ(start.instance, kInstance);
  EXPECT_EQ(start.seat.epoch, 3);
  EXPECT_EQ(start.seat.rank, 0);
  EXPECT_EQ(start.seat.world_size, 2);
  EXPECT_EQ(start.part.model, "ember");
  EXPECT_EQ(start.part.kv, "q8");
  EXPECT_EQ(start.part.layer_begin, 0);
  EXPECT_EQ(start.part.layer_end, 4);
  EXPECT_THAT(start.part.shares, IsEmpty());
  EXPECT_THAT(actions.stop, IsEmpty());
  EXPECT_THAT(actions.connect, IsEmpty());
}

TEST(Reconcile, DoesNothingWhileARunnerIsAtWork) {
  for (const auto status : {RunnerStatus::kStarting, RunnerStatus::kLoading,
                            RunnerStatus::kConnecting, RunnerStatus::kReady}) {
    EXPECT_TRUE(reconcile(two_stages(), {own(status)}).empty());
  }
}

TEST(Reconcile, IgnoresInstancesOfOtherDevices) {
  ClusterView view = two_stages();
  view.instances[kInstance].plan.ranks.erase(view.instances[kInstance].plan.ranks.begin());
  EXPECT_TRUE(reconcile(view, {}).empty());
}

TEST(Reconcile, LeavesAFailedRunnerForTheCoordinator) {
  EXPECT_TRUE(reconcile(two_stages(), {own(RunnerStatus::kFailed)}).empty());
  EXPECT_TRUE(reconcile(two_stages(), {kept()}).empty());
}

TEST(Reconcile, StopsRunnersOfDeletedInstances) {
  ClusterView view = two_stages();
  view.instances.clear();
  const Actions actions = reconcile(view, {own(RunnerStatus::kReady)});
  ASSERT_THAT(actions.stop, SizeIs(1));
  EXPECT_EQ(actions.stop[0].instance, kInstance);
  EXPECT_EQ(actions.stop[0].epoch, 3);
  EXPECT_THAT(actions.start, IsEmpty());
}

TEST(Reconcile, StopsRunnersWhenTheirInstanceWaits) {
  ClusterView view = two_stages();
  view.instances[kInstance].plan = {.epoch = 4};
  EXPECT_THAT(reconcile(view, {own(RunnerStatus::kReady)}).stop, SizeIs(1));
}

TEST(Reconcile, ANewEpochStartsOnlyWhenTheOldRunnerIsGone) {
  LocalRunner old = own(RunnerStatus::kFailed);
  Actions actions = reconcile(two_stages(4), {old});
  EXPECT_THAT(actions.stop, SizeIs(1));
  EXPECT_THAT(actions.start, IsEmpty());

  old.stopping = true;
  EXPECT_TRUE(reconcile(two_stages(4), {old}).empty());

  actions = reconcile(two_stages(4), {});
  EXPECT_THAT(actions.stop, IsEmpty());
  ASSERT_THAT(actions.start, SizeIs(1));
  EXPECT_EQ(actions.start[0].seat.epoch, 4);
}

TEST(Reconcile, ARunnerThatLivesGoesOverToANewEpoch) {
  std::vector<LocalRunner> runners = {kept()};
  for (const auto status : {RunnerStatus::kStarting, RunnerStatus::kLoading, RunnerStatus::kLoaded,
                            RunnerStatus::kConnecting, RunnerStatus::kReady}) {
    runners.push_back(own(status));
  }
  for (const LocalRunner& runner : runners) {
    const Actions actions = reconcile(two_stages(4), {runner});
    ASSERT_THAT(actions.renew, SizeIs(1));
    EXPECT_EQ(actions.renew[0].instance, kInstance);
    EXPECT_EQ(actions.renew[0].epoch, 3);
    EXPECT_EQ(actions.renew[0].rank, 0);
    EXPECT_EQ(actions.renew[0].seat.epoch, 4);
    EXPECT_EQ(actions.renew[0].seat.rank, 0);
    EXPECT_EQ(actions.renew[0].seat.world_size, 2);
    EXPECT_THAT(actions.stop, IsEmpty());
    EXPECT_THAT(actions.start, IsEmpty());
    EXPECT_THAT(actions.connect, IsEmpty());
  }
}

TEST(Reconcile, ARunnerGoesOverToAnotherRankOfTheSameLayers) {
  ClusterView view = two_stages(4);
  view.instances[kInstance].plan.ranks = {{.device = kOther, .layer_begin = 0, .layer_end = 2},
                                          {.device = kOther, .layer_begin = 2, .layer_end = 4},
                                          {.device = kSelf, .layer_begin = 4, .layer_end = 6}};
  LocalRunner last = kept();
  last.view.rank = 1;
  last.part.layer_begin = 4;
  last.part.layer_end = 6;
  const Actions actions = reconcile(view, {last});
  ASSERT_THAT(actions.renew, SizeIs(1));
  EXPECT_EQ(actions.renew[0].rank, 1);
  EXPECT_EQ(actions.renew[0].seat.rank, 2);
  EXPECT_EQ(actions.renew[0].seat.world_size, 3);
}

TEST(Reconcile, ARunnerOfAnotherPartIsReplaced) {
  const auto expect_stop = [](const ClusterView& view) {
    const Actions actions = reconcile(view, {kept()});
    EXPECT_THAT(actions.stop, SizeIs(1));
    EXPECT_THAT(actions.renew, IsEmpty());
    EXPECT_THAT(actions.start, IsEmpty());
  };
  ClusterView layers = two_stages(4);
  layers.instances[kInstance].plan.ranks[0].layer_end = 3;
  expect_stop(layers);
  ClusterView model = two_stages(4);
  model.instances[kInstance].model = "another";
  expect_stop(model);
  ClusterView cache = two_stages(4);
  cache.instances[kInstance].kv = "q16";
  expect_stop(cache);
  ClusterView slices = two_stages(4);
  slices.instances[kInstance].plan.slices = 2;
  slices.instances[kInstance].plan.ranks = {{.device = kSelf, .layer_end = 4, .share = 500},
                                            {.device = kOther, .layer_end = 4, .share = 500}};
  expect_stop(slices);
  expect_stop(two_stages(2));  // epochs do not go back
}

TEST(Reconcile, ARunnerThatStopsIsNotCalledBack) {
  LocalRunner old = kept();
  old.stopping = true;
  EXPECT_TRUE(reconcile(two_stages(4), {old}).empty());
}

TEST(Reconcile, StopsARankThatMovedAway) {
  ClusterView view = two_stages();
  std::swap(view.instances[kInstance].plan.ranks[0], view.instances[kInstance].plan.ranks[1]);
  EXPECT_THAT(reconcile(view, {own(RunnerStatus::kReady)}).stop, SizeIs(1));
}

TEST(Reconcile, ConnectsOnceEveryRankIsLoaded) {
  ClusterView view = two_stages();
  EXPECT_TRUE(reconcile(view, {own(RunnerStatus::kLoaded)}).empty());

  view.runners = {other(RunnerStatus::kLoading)};
  EXPECT_TRUE(reconcile(view, {own(RunnerStatus::kLoaded)}).empty());

  view.runners = {other(RunnerStatus::kLoaded, 2)};  // of an older epoch
  EXPECT_TRUE(reconcile(view, {own(RunnerStatus::kLoaded)}).empty());

  view.runners = {other(RunnerStatus::kLoaded)};
  const Actions actions = reconcile(view, {own(RunnerStatus::kLoaded)});
  ASSERT_THAT(actions.connect, SizeIs(1));
  EXPECT_THAT(actions.connect[0].addresses, ElementsAre("", "10.0.0.2:40001"));
  EXPECT_EQ(actions.connect[0].token, "secret");
}

TEST(Reconcile, ConnectsWhenTheOtherRankIsAlreadyConnecting) {
  ClusterView view = two_stages();
  view.runners = {other(RunnerStatus::kConnecting)};
  LocalRunner loaded = own(RunnerStatus::kLoaded);
  EXPECT_THAT(reconcile(view, {loaded}).connect, SizeIs(1));
  loaded.connect_asked = true;
  EXPECT_TRUE(reconcile(view, {loaded}).empty());
}

TEST(Reconcile, WaitsForAnAddress) {
  ClusterView view = two_stages();
  view.runners = {other(RunnerStatus::kLoaded)};
  view.devices[kOther].reachable_at.clear();
  EXPECT_TRUE(reconcile(view, {own(RunnerStatus::kLoaded)}).empty());
}

TEST(Reconcile, RanksMeetOverTheFastestLink) {
  ClusterView view = two_stages();
  view.runners = {other(RunnerStatus::kLoaded)};
  view.devices[kSelf].facts.links = {link("10.0.0.2", 900'000, 90'000'000),
                                     link("10.7.0.2", 20'000, 9'000'000'000)};
  Actions actions = reconcile(view, {own(RunnerStatus::kLoaded)});
  ASSERT_THAT(actions.connect, SizeIs(1));
  EXPECT_THAT(actions.connect[0].addresses, ElementsAre("", "10.7.0.2:40001"));

  view.devices[kSelf].facts.links[1].error = "no route to host";
  actions = reconcile(view, {own(RunnerStatus::kLoaded)});
  EXPECT_THAT(actions.connect[0].addresses, ElementsAre("", "10.0.0.2:40001"));
}

TEST(Reconcile, RanksWaitUntilLinksAreMeasured) {
  ClusterView view = two_stages();
  view.runners = {other(RunnerStatus::kLoaded)};
  view.devices[kSelf].facts.links.clear();
  EXPECT_TRUE(reconcile(view, {own(RunnerStatus::kLoaded)}).empty());
}

TEST(Reconcile, SlicesKnowTheirSharesAndTheirWire) {
  ClusterView view = two_stages();
  cluster::Plan& plan = view.instances[kInstance].plan;
  plan.slices = 2;
  plan.ranks = {{.device = kOther, .layer_end = 6, .share = 667, .wire = "bf16"},
                {.device = kSelf, .layer_end = 6, .share = 333, .wire = "bf16"}};
  const Actions actions = reconcile(view, {});
  ASSERT_THAT(actions.start, SizeIs(1));
  EXPECT_EQ(actions.start[0].part.slice, 1);
  EXPECT_THAT(actions.start[0].part.shares, ElementsAre(667, 333));

  LocalRunner mine = own(RunnerStatus::kLoaded);
  mine.view.rank = 1;
  view.runners = {other(RunnerStatus::kLoaded)};
  view.runners[0].rank = 0;
  const Actions next = reconcile(view, {mine});
  ASSERT_THAT(next.connect, SizeIs(1));
  EXPECT_EQ(next.connect[0].wire, "bf16");
}

TEST(Reconcile, KeepsIpv6HostsWhole) {
  ClusterView view = two_stages();
  view.runners = {other(RunnerStatus::kLoaded)};
  view.devices[kOther].reachable_at = "[fd00::2]:52416";
  const Actions actions = reconcile(view, {own(RunnerStatus::kLoaded)});
  ASSERT_THAT(actions.connect, SizeIs(1));
  EXPECT_EQ(actions.connect[0].addresses[1], "[fd00::2]:40001");
}

TEST(Reconcile, ARankOnItsOwnConnectsToNobody) {
  ClusterView view = two_stages();
  view.instances[kInstance].plan.ranks.pop_back();
  const Actions actions = reconcile(view, {own(RunnerStatus::kLoaded)});
  ASSERT_THAT(actions.connect, SizeIs(1));
  EXPECT_THAT(actions.connect[0].addresses, ElementsAre(""));
}

}  // namespace
}  // namespace hearth::daemon
