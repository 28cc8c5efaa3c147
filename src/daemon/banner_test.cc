#include "daemon/banner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::daemon {
namespace {

using cluster::ClusterView;
using cluster::DeviceStatus;
using cluster::RunnerStatus;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const DeviceId kSelf("aaaaaaaa11");
const DeviceId kOther("bbbbbbbb22");
const InstanceId kInstance("i1");

ClusterView alone() {
  ClusterView view;
  view.cluster_name = "home";
  view.self = kSelf;
  view.devices[kSelf] = {.facts = {.id = kSelf, .name = "studio"}, .status = DeviceStatus::kOnline};
  return view;
}

TEST(Banner, SaysWhoAndWhere) {
  const std::string text = banner(
      {.version = "0.1.0", .listen = "127.0.0.1", .port = 52415, .discovery = "mDNS"}, alone());
  for (const char* part : {"Hearth 0.1.0", "studio (aaaaaaaa)", "home", "mDNS",
                           "http://127.0.0.1:52415\n", "http://127.0.0.1:52415/v1\n"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Banner, GivesAnAddressThatOpens) {
  for (const char* everywhere : {"0.0.0.0", "::"}) {
    EXPECT_THAT(banner({.listen = everywhere, .port = 80}, alone()),
                HasSubstr("http://localhost:80\n"));
  }
  EXPECT_THAT(banner({.listen = "::1", .port = 80}, alone()), HasSubstr("http://[::1]:80\n"));
}

TEST(Narrator, TellsOfDevicesThatComeAndGo) {
  Narrator narrator;
  ClusterView view = alone();
  EXPECT_THAT(narrator.tell(view), IsEmpty());

  auto& other = view.devices[kOther];
  other = {.facts = {.id = kOther, .name = "attic"},
           .status = DeviceStatus::kOnline,
           .reachable_at = "10.0.0.2:52416"};
  EXPECT_THAT(narrator.tell(view), ElementsAre("found attic (bbbbbbbb) at 10.0.0.2"));
  EXPECT_THAT(narrator.tell(view), IsEmpty());

  other.status = DeviceStatus::kSuspect;
  EXPECT_THAT(narrator.tell(view), IsEmpty());
  other.status = DeviceStatus::kOffline;
  EXPECT_THAT(narrator.tell(view), ElementsAre("attic (bbbbbbbb) is gone"));
  other.status = DeviceStatus::kOnline;
  EXPECT_THAT(narrator.tell(view), ElementsAre("found attic (bbbbbbbb) at 10.0.0.2"));
}

TEST(Narrator, TellsHowAnInstanceGetsOn) {
  Narrator narrator;
  ClusterView view = alone();
  cluster::InstanceView& instance = view.instances[kInstance];
  instance = {.id = kInstance, .model = "ember"};
  EXPECT_THAT(narrator.tell(view), ElementsAre("ember is being placed"));

  instance.plan = {.epoch = 1, .ranks = {{.device = kSelf, .layer_begin = 0, .layer_end = 6}}};
  EXPECT_THAT(narrator.tell(view), ElementsAre("ember is loading on studio (layers 0-5)"));
  view.runners = {{.device = kSelf,
                   .instance = kInstance,
                   .epoch = 1,
                   .status = RunnerStatus::kLoading,
                   .layers_loaded = 1,
                   .layers_total = 6}};
  EXPECT_THAT(narrator.tell(view), IsEmpty());

  view.runners[0].status = RunnerStatus::kReady;
  EXPECT_THAT(narrator.tell(view), ElementsAre("ember is ready on studio (layers 0-5)"));

  view.runners[0].status = RunnerStatus::kFailed;
  view.runners[0].error = "killed by signal 9";
  EXPECT_THAT(narrator.tell(view), ElementsAre("ember failed: studio: killed by signal 9"));

  view.instances.clear();
  EXPECT_THAT(narrator.tell(view), ElementsAre("ember is stopped"));
}

}  // namespace
}  // namespace hearth::daemon
