// Real runner processes, driven by a cluster whose plans the test writes.
#include "daemon/runner_host.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "cluster/cluster.h"
#include "daemon/model_catalog.h"

namespace hearth::daemon {
namespace {

using cluster::RunnerStatus;
using cluster::RunnerView;

constexpr std::chrono::seconds kBound(60);
const DeviceId kSelf("self");
const InstanceId kInstance("0123456789abcdef");

// A cluster of one device with at most one instance, whose plan the test decides.
class PlannedCluster final : public cluster::Cluster {
 public:
  PlannedCluster() {
    view_.self = kSelf;
    view_.devices[kSelf].status = cluster::DeviceStatus::kOnline;
  }

  // Two stages on this device, or one.
  void plan(int64_t epoch, int world_size, const std::string& model = "ember",
            const std::string& kv = "q16") {
    cluster::InstanceView instance{.id = kInstance, .model = model, .kv = kv};
    instance.plan = {.epoch = epoch, .token = "secret " + std::to_string(epoch)};
    for (int rank = 0; rank < world_size; ++rank) {
      instance.plan.ranks.push_back({.device = kSelf,
                                     .layer_begin = 6 * rank / world_size,
                                     .layer_end = 6 * (rank + 1) / world_size});
    }
    change([&] { view_.instances[kInstance] = instance; });
  }
  void remove() {
    change([this] { view_.instances.clear(); });
  }

  // Waits until the reported runners are as `wanted` says; returns them.
  std::vector<RunnerView> wait_until(
      const std::function<bool(const std::vector<RunnerView>&)>& wanted) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(reported_.wait_for(lock, kBound, [&] { return wanted(view_.runners); }));
    return view_.runners;
  }
  std::vector<RunnerView> wait_until_all(RunnerStatus status, int64_t epoch, size_t count) {
    return wait_until([=](const std::vector<RunnerView>& runners) {
      return runners.size() == count && std::ranges::all_of(runners, [=](const RunnerView& runner) {
               return runner.status == status && runner.epoch == epoch;
             });
    });
  }

  // All that was ever said of a rank in an epoch.
  std::vector<RunnerView> reports_of(int64_t epoch, int rank) const {
    std::lock_guard lock(mutex_);
    std::vector<RunnerView> reports = reports_;
    std::erase_if(reports, [=](const RunnerView& report) {
      return report.epoch != epoch || report.rank != rank;
    });
    return reports;
  }

  int port() const override { return 0; }
  std::string discovery_status() const override { return {}; }
  cluster::ClusterView view() const override {
    std::lock_guard lock(mutex_);
    return view_;
  }
  std::shared_ptr<void> watch(std::function<void()> changed) override {
    std::lock_guard lock(mutex_);
    changed_ = std::move(changed);
    return std::shared_ptr<void>(this, [](PlannedCluster* self) {
      std::lock_guard lock(self->mutex_);
      self->changed_ = nullptr;
    });
  }
  void set_facts(const cluster::DeviceFacts&) override {}
  void set_runners(const std::vector<RunnerView>& runners) override {
    change([&] {
      view_.runners = runners;
      reports_.insert(reports_.end(), runners.begin(), runners.end());
    });
  }
  Result<InstanceId> create_instance(const cluster::InstanceRequest&) override { return kInstance; }
  Result<void> delete_instance(const InstanceId&) override { return {}; }
  Result<std::shared_ptr<grpc::Channel>> channel(const DeviceId&) const override {
    return Error(Code::kUnavailable, "there is no other device");
  }

 private:
  void change(const std::function<void()>& edit) {
    std::lock_guard lock(mutex_);
    edit();
    reported_.notify_all();
    if (changed_) changed_();
  }

  mutable std::mutex mutex_;
  std::condition_variable reported_;
  std::function<void()> changed_;
  cluster::ClusterView view_;
  std::vector<RunnerView> reports_;
};

class RunnerHostTest : public testing::Test {
 protected:
  RunnerHostTest() {
    std::filesystem::create_directories(data_dir_);
    catalog_.refresh();
    host_ = std::make_unique<RunnerHost>(&cluster_, RunnerSettings{.device = kSelf,
                                                                   .catalog = &catalog_,
                                                                   .program = HEARTH_BINARY,
                                                                   .bind_host = "127.0.0.1",
                                                                   .transport = "tcp",
                                                                   .threads = 1});
  }

  ~RunnerHostTest() override { std::filesystem::remove_all(data_dir_); }

  // The greedy answer of the instance, or how it ended.
  std::string answer() {
    const auto generator = host_->generator(kInstance);
    if (generator == nullptr) return "no generator";
    runtime::GenerateRequest request{.id = RequestId("r"), .max_tokens = 8};
    request.prompt = runtime::ChatPrompt{R"([{"role":"user","content":"Hello"}])"};
    request.sampling.temperature = 0;
    std::string text;
    std::promise<void> done;
    const auto generation =
        generator->generate(std::move(request), [&](runtime::GenerateEvent event) {
          if (const auto* delta = std::get_if<runtime::Delta>(&event)) text += delta->text;
          if (const auto* error = std::get_if<Error>(&event)) text = "error: " + error->message();
          if (event.index() >= 2) done.set_value();
        });
    EXPECT_EQ(done.get_future().wait_for(kBound), std::future_status::ready);
    return text;
  }

  const std::string data_dir_ =
      testing::TempDir() + "hearth_runner_host_" + std::to_string(getpid());
  PlannedCluster cluster_;
  ModelCatalog catalog_{store::ModelLocator({HEARTH_SOURCE_DIR "/models"}),
                        std::make_unique<KeptTimes>(data_dir_, engine::Quantize::kNone)};
  std::unique_ptr<RunnerHost> host_;
};

// The processes called `hearth runner` that this process started.
std::vector<pid_t> runner_pids() {
  std::vector<pid_t> pids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const size_t after_name = line.rfind(')');
    if (after_name == std::string::npos) continue;
    std::istringstream rest(line.substr(after_name + 1));
    std::string state;
    pid_t parent = 0;
    rest >> state >> parent;
    if (parent == getpid() && state != "Z") pids.push_back(std::stoi(name));
  }
  return pids;
}

TEST_F(RunnerHostTest, OneStageAndTwoStagesGiveTheSameAnswer) {
  cluster_.plan(1, 1);
  cluster_.wait_until_all(RunnerStatus::kReady, 1, 1);
  const std::string alone = answer();
  EXPECT_FALSE(alone.empty());
  EXPECT_THAT(alone, testing::Not(testing::StartsWith("error")));
  EXPECT_EQ(runner_pids().size(), 1u);

  cluster_.plan(2, 2);
  const auto runners = cluster_.wait_until_all(RunnerStatus::kReady, 2, 2);
  EXPECT_EQ(runners[0].layers_loaded, 3);
  EXPECT_EQ(answer(), alone);
  EXPECT_EQ(runner_pids().size(), 2u);

  cluster_.remove();
  cluster_.wait_until([](const auto& left) { return left.empty(); });
  EXPECT_EQ(host_->generator(kInstance), nullptr);
  host_ = nullptr;
  EXPECT_TRUE(runner_pids().empty());
}

TEST_F(RunnerHostTest, AKilledRunnerIsReportedUntilANewPlanReplacesIt) {
  cluster_.plan(1, 1);
  cluster_.wait_until_all(RunnerStatus::kReady, 1, 1);
  ASSERT_EQ(runner_pids().size(), 1u);
  kill(runner_pids()[0], SIGKILL);
  const auto failed = cluster_.wait_until_all(RunnerStatus::kFailed, 1, 1);
  EXPECT_THAT(failed[0].error, testing::HasSubstr("signal 9"));
  EXPECT_EQ(host_->generator(kInstance), nullptr);

  cluster_.plan(2, 1);
  cluster_.wait_until_all(RunnerStatus::kReady, 2, 1);
  EXPECT_THAT(answer(), testing::Not(testing::StartsWith("error")));
}

// First one rank, then the one that lived.
TEST_F(RunnerHostTest, WhenOneRankDiesTheOtherSaysSoAndKeepsItsWeights) {
  cluster_.plan(1, 2);
  cluster_.wait_until_all(RunnerStatus::kReady, 1, 2);
  const std::string whole = answer();
  pid_t victim = runner_pids()[0];
  for (const int64_t epoch : {1, 2}) {
    std::vector<pid_t> pids = runner_pids();
    std::erase(pids, victim);
    ASSERT_THAT(pids, testing::SizeIs(1));
    const pid_t survivor = pids[0];
    kill(victim, SIGKILL);
    const auto failed = cluster_.wait_until_all(RunnerStatus::kFailed, epoch, 2);
    const int dead = failed[0].holds_weights() ? failed[1].rank : failed[0].rank;
    const int alive = 1 - dead;
    for (const RunnerView& runner : failed) {
      EXPECT_EQ(runner.holds_weights(), runner.rank == alive);
      EXPECT_THAT(
          runner.error,
          testing::HasSubstr(runner.rank == dead ? "signal 9" : fmt::format("rank {}", dead)));
    }
    EXPECT_EQ(host_->generator(kInstance), nullptr);

    cluster_.plan(epoch + 1, 2);
    cluster_.wait_until_all(RunnerStatus::kReady, epoch + 1, 2);
    EXPECT_EQ(answer(), whole);
    EXPECT_THAT(runner_pids(), testing::Contains(survivor));
    for (const RunnerView& report : cluster_.reports_of(epoch + 1, alive)) {
      EXPECT_TRUE(report.holds_weights());
      EXPECT_NE(report.status, RunnerStatus::kLoading);
    }
    victim = survivor;
  }
}

TEST_F(RunnerHostTest, RunnersAtWorkGoOverToANewPlan) {
  cluster_.plan(1, 2);
  cluster_.wait_until_all(RunnerStatus::kReady, 1, 2);
  const std::string whole = answer();
  const auto pids = runner_pids();
  cluster_.plan(2, 2);
  cluster_.wait_until_all(RunnerStatus::kReady, 2, 2);
  EXPECT_EQ(answer(), whole);
  EXPECT_THAT(runner_pids(), testing::UnorderedElementsAreArray(pids));
}

TEST_F(RunnerHostTest, ANewPlanInTheMiddleOfALoadWaitsForItsEnd) {
  cluster_.plan(1, 2);
  cluster_.wait_until([](const auto& runners) {
    return runners.size() == 2 && std::ranges::none_of(runners, [](const RunnerView& runner) {
             return runner.status == RunnerStatus::kStarting;
           });
  });
  const auto pids = runner_pids();
  cluster_.plan(2, 2);
  cluster_.plan(3, 2);
  cluster_.wait_until_all(RunnerStatus::kReady, 3, 2);
  EXPECT_THAT(runner_pids(), testing::UnorderedElementsAreArray(pids));
  EXPECT_THAT(answer(), testing::Not(testing::StartsWith("error")));
}

TEST_F(RunnerHostTest, AModelThatIsNotHereFailsWithItsName) {
  cluster_.plan(1, 1, "nowhere");
  const auto failed = cluster_.wait_until_all(RunnerStatus::kFailed, 1, 1);
  EXPECT_THAT(failed[0].error, testing::HasSubstr("'nowhere'"));
}

TEST_F(RunnerHostTest, TheCacheIsThePlans) {
  cluster_.plan(1, 1, "ember", "q8");
  cluster_.wait_until_all(RunnerStatus::kReady, 1, 1);
  EXPECT_THAT(answer(), testing::Not(testing::StartsWith("error")));
  cluster_.plan(2, 1, "ember", "q2");
  const auto failed = cluster_.wait_until_all(RunnerStatus::kFailed, 2, 1);
  EXPECT_EQ(failed[0].error, "this device does not know KV caches of 'q2': update its Hearth");
}

// Ember's times as kept with a cache of 16 bits; waits until they are.
cluster::TokenTimes kept_times(const ModelCatalog& catalog) {
  const auto deadline = std::chrono::steady_clock::now() + kBound;
  while (std::chrono::steady_clock::now() < deadline) {
    for (const cluster::ModelFacts& model : catalog.models()) {
      const auto found = model.token_times.find("q16");
      if (model.id == "ember" && found != model.token_times.end()) return found->second;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {};
}

TEST_F(RunnerHostTest, LayersAreTimedWhileTheyAnswer) {
  cluster_.plan(1, 1);
  cluster_.wait_until_all(RunnerStatus::kReady, 1, 1);
  for (int i = 0; i < 10; ++i) answer();
  const cluster::TokenTimes times = kept_times(catalog_);
  EXPECT_THAT(times.layers_ns, testing::SizeIs(6));
  EXPECT_THAT(times.layers_ns, testing::Each(testing::Gt(0)));
  EXPECT_GT(times.embedding_ns, 0);
  EXPECT_GT(times.head_ns, 0);
  ModelCatalog later(store::ModelLocator({HEARTH_SOURCE_DIR "/models"}),
                     std::make_unique<KeptTimes>(data_dir_, engine::Quantize::kNone));
  later.refresh();
  EXPECT_EQ(kept_times(later), times);
}

TEST_F(RunnerHostTest, EndsInTheMiddleOfALoad) {
  cluster_.plan(1, 2);
  cluster_.wait_until([](const auto& runners) { return !runners.empty(); });
  host_ = nullptr;
  EXPECT_TRUE(runner_pids().empty());
}

}  // namespace
}  // namespace hearth::daemon
