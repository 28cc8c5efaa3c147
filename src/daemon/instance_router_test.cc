#include "daemon/instance_router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::daemon {
namespace {

using cluster::ClusterView;
using cluster::RunnerStatus;
using testing::HasSubstr;

const DeviceId kSelf("self");

void add(ClusterView* view, const std::string& id, const std::string& model, RunnerStatus status) {
  cluster::InstanceView instance{.id = InstanceId(id), .model = model};
  instance.plan = {.epoch = 1, .ranks = {{.device = kSelf, .layer_begin = 0, .layer_end = 6}}};
  view->instances[instance.id] = instance;
  view->runners.push_back({.device = kSelf,
                           .instance = instance.id,
                           .epoch = 1,
                           .rank = 0,
                           .status = status,
                           .layers_loaded = 2,
                           .layers_total = 6,
                           .error = status == RunnerStatus::kFailed ? "killed by signal 9" : ""});
}

Result<InstanceId> choose(const ClusterView& view, const std::string& model,
                          std::map<std::string, int> load = {}) {
  return choose_instance(view, model, [&load](const InstanceId& id) { return load[id.str()]; });
}

TEST(ChooseInstance, TakesTheLeastBusyReadyOne) {
  ClusterView view;
  add(&view, "a", "ember", RunnerStatus::kReady);
  add(&view, "b", "ember", RunnerStatus::kReady);
  add(&view, "c", "ember", RunnerStatus::kLoading);
  add(&view, "d", "llama", RunnerStatus::kReady);
  EXPECT_EQ(choose(view, "ember", {{"a", 2}, {"b", 1}})->str(), "b");
  EXPECT_EQ(choose(view, "ember", {{"a", 1}, {"b", 2}})->str(), "a");
}

TEST(ChooseInstance, TakesTheInstanceThatIsNamed) {
  ClusterView view;
  add(&view, "a", "ember", RunnerStatus::kReady);
  add(&view, "b", "ember", RunnerStatus::kReady);
  EXPECT_EQ(choose(view, "b", {{"b", 9}})->str(), "b");
}

TEST(ChooseInstance, SaysHowToStartOne) {
  const auto none = choose(ClusterView{}, "ember");
  EXPECT_EQ(none.error().code(), Code::kNotFound);
  EXPECT_THAT(none.error().message(), HasSubstr("no instance runs 'ember'"));
  EXPECT_THAT(none.error().message(), HasSubstr("/place_instance"));
}

TEST(ChooseInstance, SaysWhatAnInstanceThatIsNotReadyDoes) {
  ClusterView view;
  add(&view, "a", "ember", RunnerStatus::kLoading);
  EXPECT_EQ(choose(view, "ember").error().code(), Code::kUnavailable);
  EXPECT_THAT(choose(view, "ember").error().message(), HasSubstr("is loading (2 of 6 layers"));

  view.runners[0].status = RunnerStatus::kFailed;
  view.runners[0].error = "killed by signal 9";
  EXPECT_THAT(choose(view, "ember").error().message(), HasSubstr("killed by signal 9"));

  view.instances.begin()->second.plan.ranks.clear();
  view.instances.begin()->second.message = "ember needs 2 devices and 1 is online";
  EXPECT_EQ(choose(view, "ember").error().code(), Code::kUnavailable);
  EXPECT_THAT(choose(view, "ember").error().message(), HasSubstr("waits for devices (ember needs"));
}

}  // namespace
}  // namespace hearth::daemon
