#include "daemon/first_instances.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::daemon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const DeviceId kSelf("self");

cluster::ClusterView alone() {
  cluster::ClusterView view;
  view.self = kSelf;
  view.coordinator = kSelf;
  view.devices[kSelf].facts.models = {{.id = "ember"}, {.id = "llama"}};
  return view;
}

TEST(FirstInstances, AFreshDevicePlacesEmber) {
  EXPECT_THAT(instances_to_place(alone(), {}, true), ElementsAre("ember"));
}

TEST(FirstInstances, ADeviceThatStartedBeforeDoesNot) {
  EXPECT_THAT(instances_to_place(alone(), {}, false), IsEmpty());
}

TEST(FirstInstances, AFreshDeviceInAClusterThatRunsSomethingDoesNot) {
  cluster::ClusterView view = alone();
  view.instances[InstanceId("i")].model = "llama";
  EXPECT_THAT(instances_to_place(view, {}, true), IsEmpty());
}

TEST(FirstInstances, OfFreshDevicesOneDoes) {
  cluster::ClusterView view = alone();
  view.coordinator = DeviceId("other");
  EXPECT_THAT(instances_to_place(view, {}, true), IsEmpty());
}

TEST(FirstInstances, WithoutEmbersFilesThereIsNothingToPlace) {
  cluster::ClusterView view = alone();
  view.devices[kSelf].facts.models.clear();
  EXPECT_THAT(instances_to_place(view, {}, true), IsEmpty());
}

TEST(FirstInstances, NamedModelsArePlacedUnlessTheyRun) {
  cluster::ClusterView view = alone();
  EXPECT_THAT(instances_to_place(view, {"llama", "llama"}, true), ElementsAre("llama"));
  EXPECT_THAT(instances_to_place(view, {"llama"}, false), ElementsAre("llama"));
  view.instances[InstanceId("i")].model = "llama";
  EXPECT_THAT(instances_to_place(view, {"llama", "ember"}, false), ElementsAre("ember"));
}

}  // namespace
}  // namespace hearth::daemon
