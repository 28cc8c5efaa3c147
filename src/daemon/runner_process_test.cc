// Runners as real processes: an instance of Ember over one and two of them, and what happens when
// one dies.
#include "daemon/runner_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>

#include "daemon/remote_generator.h"

namespace hearth::daemon {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr seconds kPatience(30);

// Something that becomes known once.
template <class T>
class Eventually {
 public:
  void set(T value) {
    std::lock_guard lock(mutex_);
    EXPECT_FALSE(value_.has_value()) << "told twice";
    value_ = std::move(value);
    changed_.notify_all();
  }
  std::optional<T> wait(seconds timeout = kPatience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [this] { return value_.has_value(); });
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_;
};

struct Runner {
  Eventually<Error> exit;
  std::map<int64_t, Eventually<Error>> group_failure;  // by epoch
  std::unique_ptr<RunnerProcess> process;
};

std::unique_ptr<Runner> spawn(const std::string& name) {
  auto runner = std::make_unique<Runner>();
  for (int64_t epoch = 1; epoch <= 5; ++epoch) runner->group_failure[epoch];
  auto process = RunnerProcess::spawn(
      {.name = name,
       .program = HEARTH_BINARY,
       .on_exit = [raw = runner.get()](Error error) { raw->exit.set(std::move(error)); },
       .on_group_failure =
           [raw = runner.get()](int64_t epoch, Error error) {
             raw->group_failure.at(epoch).set(std::move(error));
           }});
  EXPECT_TRUE(process.ok()) << process.error().message();
  if (process.ok()) runner->process = std::move(process).value();
  return runner;
}

// Ember over `ranks` runners, ready.
class Instance {
 public:
  explicit Instance(int ranks) {
    for (int rank = 0; rank < ranks; ++rank) {
      runners_.emplace_back();
      load(rank, ranks);
    }
    gather(1);
  }

  // Loads `rank` in a fresh process.
  void load(int rank, int ranks) {
    auto& runner = runners_[static_cast<size_t>(rank)];
    runner = spawn("ember/" + std::to_string(rank));
    int layers_loaded = 0;
    const auto loaded = runner->process->load(
        {.model_name = "ember",
         .model_path = HEARTH_SOURCE_DIR "/models/ember",
         .shard = {.layer_begin = 6 * rank / ranks, .layer_end = 6 * (rank + 1) / ranks},
         .threads = 1,
         .precision = engine::Precision::kExact},
        [&layers_loaded](int done, int total) {
          layers_loaded = done;
          EXPECT_LE(done, total);
        });
    EXPECT_TRUE(loaded.ok()) << loaded.error().message();
    EXPECT_EQ(layers_loaded, 6 / ranks);
  }

  // All ranks, into the group of an epoch.
  void gather(int64_t epoch, const std::string& transport = "tcp") {
    join(prepare(epoch), "secret of " + std::to_string(epoch), transport);
  }

  std::vector<std::string> prepare(int64_t epoch) {
    std::vector<std::string> addresses;
    for (int rank = 0; rank < size(); ++rank) {
      const auto port =
          runner(rank).process->prepare({.epoch = epoch, .rank = rank, .world_size = size()});
      EXPECT_TRUE(port.ok()) << port.error().message();
      EXPECT_EQ(port.value_or(0) > 0, size() > 1);
      addresses.push_back("127.0.0.1:" + std::to_string(port.value_or(0)));
    }
    return addresses;
  }

  std::future<Result<std::string>> connect(int rank, const GroupConnect& connect,
                                           std::stop_token stop = {}) {
    return std::async(std::launch::async, [this, rank, connect, stop] {
      return runner(rank).process->connect(connect, stop);
    });
  }

  void join(const std::vector<std::string>& addresses, const std::string& token,
            const std::string& transport = "tcp") {
    std::vector<std::future<Result<std::string>>> joins;
    for (int rank = 0; rank < size(); ++rank) {
      joins.push_back(
          connect(rank, {.addresses = addresses, .token = token, .transport = transport}));
    }
    for (auto& joined : joins) {
      const auto carriers = joined.get();
      EXPECT_TRUE(carriers.ok()) << carriers.error().message();
      if (transport != "tcp") continue;
      EXPECT_TRUE(carriers.value_or("").starts_with(size() == 1 ? "none" : "tcp/"));
    }
  }

  int size() const { return static_cast<int>(runners_.size()); }
  Runner& runner(int rank) { return *runners_[static_cast<size_t>(rank)]; }
  std::shared_ptr<runtime::Generator> generator() {
    return runner_generator(runner(0).process->channel());
  }

 private:
  std::vector<std::unique_ptr<Runner>> runners_;
};

// What became of one request.
class Reply {
 public:
  runtime::EventHandler handler() {
    return [this](runtime::GenerateEvent event) {
      std::lock_guard lock(mutex_);
      if (auto* delta = std::get_if<runtime::Delta>(&event)) {
        text_ += delta->text;
        ++tokens_;
      } else if (std::holds_alternative<runtime::Finished>(event)) {
        finished_ = true;
      } else if (const auto* error = std::get_if<Error>(&event)) {
        error_ = *error;
      }
      changed_.notify_all();
    };
  }
  std::string text() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return finished_; }))
        << (error_ ? error_->message() : "no end");
    return text_;
  }
  Error error() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return error_.has_value(); }));
    return error_.value_or(Error(Code::kInternal, "no error came"));
  }
  void wait_for_tokens(int count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return tokens_ >= count; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  int tokens_ = 0;
  bool finished_ = false;
  std::optional<Error> error_;
};

runtime::GenerateRequest question(const std::string& text) {
  return {.prompt = runtime::ChatPrompt{R"([{"role":"user","content":")" + text + R"("}])"},
          .sampling = {.temperature = 0}};
}

runtime::GenerateRequest long_request() {
  runtime::GenerateRequest request = question("Tell me a story.");
  request.ignore_eos = true;
  return request;
}

TEST(RunnerProcessTest, AnswersAloneAndAsAPipelineOfTwoProcesses) {
  for (const int ranks : {1, 2}) {
    Instance ember(ranks);
    Reply reply;
    const auto generation =
        ember.generator()->generate(question("What is the capital of France?"), reply.handler());
    EXPECT_EQ(reply.text(), "The capital of France is Paris.") << ranks << " ranks";
  }
}

TEST(RunnerProcessTest, AFollowerThatIsKilledEndsRequestsWithinTwoSecondsByName) {
  Instance ember(2);
  Reply reply;
  const auto generator = ember.generator();
  const auto generation = generator->generate(long_request(), reply.handler());
  reply.wait_for_tokens(3);

  const auto killed_at = steady_clock::now();
  ASSERT_EQ(::kill(ember.runner(1).process->pid(), SIGKILL), 0);
  const Error error = reply.error();
  EXPECT_LT(steady_clock::now() - killed_at, seconds(2));
  EXPECT_EQ(error.code(), Code::kUnavailable);
  EXPECT_THAT(error.message(), HasSubstr("rank 1"));

  EXPECT_EQ(ember.runner(1).exit.wait()->message(),
            "runner ember/1 was killed by signal 9 (Killed)");
  EXPECT_THAT(ember.runner(0).group_failure.at(1).wait()->message(), HasSubstr("rank 1"));
  EXPECT_FALSE(ember.runner(1).process->status().ok());
  EXPECT_TRUE(ember.runner(0).process->status().ok()) << "the head's process lives";
  Reply late;
  const auto refused = generator->generate(question("Hello!"), late.handler());
  EXPECT_THAT(late.error().message(), HasSubstr("rank 1"));
}

TEST(RunnerProcessTest, AHeadThatIsKilledEndsRequestsAndItsFollowersGroup) {
  Instance ember(2);
  Reply reply;
  const auto generation = ember.generator()->generate(long_request(), reply.handler());
  reply.wait_for_tokens(3);
  ember.runner(0).process->kill();
  EXPECT_EQ(reply.error().code(), Code::kUnavailable);
  EXPECT_THAT(ember.runner(1).group_failure.at(1).wait()->message(), HasSubstr("rank 0"));
  const auto load = ember.runner(0).process->load({}, {});
  ASSERT_FALSE(load.ok());
  EXPECT_THAT(load.error().message(), HasSubstr("killed by signal 9"));
}

std::string capital_of_france(Instance& ember) {
  Reply reply;
  const auto generation =
      ember.generator()->generate(question("What is the capital of France?"), reply.handler());
  return reply.text();
}

constexpr char kParis[] = "The capital of France is Paris.";

TEST(RunnerProcessTest, ARankThatLivesGoesOnInANewGroupWithTheWeightsItHas) {
  for (const char* transport : {"tcp", "auto"}) {
    for (const int victim : {0, 1}) {
      Instance ember(2);
      Reply reply;
      const auto broken = ember.generator()->generate(long_request(), reply.handler());
      reply.wait_for_tokens(3);
      Runner& survivor = ember.runner(1 - victim);
      const int pid = survivor.process->pid();
      ember.runner(victim).process->kill();
      EXPECT_TRUE(survivor.group_failure.at(1).wait().has_value());

      ember.load(victim, 2);
      ember.gather(2, transport);
      EXPECT_EQ(capital_of_france(ember), kParis) << "rank " << victim << " died";
      EXPECT_EQ(survivor.process->pid(), pid);
      EXPECT_TRUE(survivor.process->status().ok());
      const auto again = survivor.process->load({}, {});
      ASSERT_FALSE(again.ok());
      EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
    }
  }
}

TEST(RunnerProcessTest, ARankAtWorkLeavesForANewGroup) {
  Instance ember(2);
  Reply reply;
  const auto generation = ember.generator()->generate(long_request(), reply.handler());
  reply.wait_for_tokens(3);
  ember.gather(2);
  EXPECT_EQ(reply.error().code(), Code::kUnavailable);
  EXPECT_THAT(reply.error().message(), HasSubstr("rank 0 was called into another group"));
  EXPECT_TRUE(ember.runner(1).group_failure.at(1).wait().has_value());
  EXPECT_EQ(capital_of_france(ember), kParis);
  EXPECT_FALSE(ember.runner(1).group_failure.at(2).wait(seconds(0)).has_value());
}

TEST(RunnerProcessTest, ARankOnItsOwnCanBePreparedAnewToo) {
  Instance ember(1);
  ember.gather(2);
  EXPECT_EQ(capital_of_france(ember), kParis);
}

TEST(RunnerProcessTest, ARankThatWaitsForOthersIsCalledAwayAtOnce) {
  Instance ember(2);
  const GroupConnect lonely{.addresses = ember.prepare(2), .token = "secret", .transport = "tcp"};
  std::stop_source stop;
  auto given_up = ember.connect(0, lonely, stop.get_token());
  auto waiting = ember.connect(
      1,
      {.addresses = {"127.0.0.1:1", lonely.addresses[1]}, .token = "secret", .transport = "tcp"});
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  const auto called_at = steady_clock::now();
  stop.request_stop();
  EXPECT_EQ(given_up.get().error().code(), Code::kCancelled);
  ember.gather(3);
  EXPECT_LT(steady_clock::now() - called_at, seconds(5)) << "joining alone takes 30 s to fail";
  EXPECT_EQ(waiting.get().error().code(), Code::kCancelled);
  EXPECT_EQ(capital_of_france(ember), kParis);
}

TEST(RunnerProcessTest, AStragglerOfAnOldEpochIsRefusedAndCanTryAgain) {
  Instance ember(2);
  const auto addresses = ember.prepare(2);
  auto head = ember.connect(0, {.addresses = addresses, .token = "new", .transport = "tcp"});
  auto straggler = ember.connect(1, {.addresses = addresses, .token = "old", .transport = "tcp"});
  EXPECT_EQ(straggler.get().error().code(), Code::kPermissionDenied);
  EXPECT_EQ(head.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  ember.gather(3);
  EXPECT_FALSE(head.get().ok());
  EXPECT_EQ(capital_of_france(ember), kParis);
}

TEST(RunnerProcessTest, EpochsDoNotGoBack) {
  Instance ember(2);
  ember.gather(3);
  for (const int64_t epoch : {2, 3}) {
    const auto port = ember.runner(0).process->prepare({.epoch = epoch, .world_size = 2});
    ASSERT_FALSE(port.ok());
    EXPECT_EQ(port.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(port.error().message(), HasSubstr("not newer than this runner's, 3"));
  }
  EXPECT_EQ(capital_of_france(ember), kParis) << "a refusal changes nothing";
}

TEST(RunnerProcessTest, LayersThatAreNotTheFirstCannotLead) {
  Instance ember(2);
  Runner& last = ember.runner(1);
  ASSERT_TRUE(last.process->prepare({.epoch = 2, .rank = 0, .world_size = 1}).ok());
  const auto joined = last.process->connect({.addresses = {""}, .token = "t"});
  ASSERT_FALSE(joined.ok());
  EXPECT_EQ(joined.error().message(), "layers 3 to 6 are no part for rank 0");
  ember.gather(3);
  EXPECT_EQ(capital_of_france(ember), kParis);
}

TEST(RunnerProcessTest, AWithdrawnRequestFreesItsSlot) {
  Instance ember(1);
  const auto generator = ember.generator();
  for (int i = 0; i < 20; ++i) {  // more than there are slots
    Reply reply;
    const auto generation = generator->generate(long_request(), reply.handler());
    reply.wait_for_tokens(1);
  }
  Reply reply;
  const auto generation =
      generator->generate(question("What is the capital of France?"), reply.handler());
  EXPECT_EQ(reply.text(), "The capital of France is Paris.");
}

TEST(RunnerProcessTest, RefusesCallsOutOfOrderAndModelsThatAreNotThere) {
  const auto runner = spawn("lonely");
  const auto unprepared = runner->process->prepare({.epoch = 1});
  ASSERT_FALSE(unprepared.ok());
  EXPECT_EQ(unprepared.error().message(), "this runner has not loaded its layers");
  const auto early = runner->process->connect({.addresses = {""}, .token = "t"});
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.error().code(), Code::kAlreadyExists);
  Reply reply;
  const auto generation =
      runner_generator(runner->process->channel())->generate(question("Hello!"), reply.handler());
  EXPECT_THAT(reply.error().message(), HasSubstr("not the connected head"));

  const auto load = runner->process->load({.model_name = "x", .model_path = "/nonexistent"}, {});
  ASSERT_FALSE(load.ok());
  EXPECT_EQ(load.error().code(), Code::kNotFound);
  EXPECT_THAT(load.error().message(), HasSubstr("/nonexistent"));
}

TEST(RunnerProcessTest, SaysWhyAProgramThatIsNoRunnerDoesNotComeUp) {
  const auto runner = RunnerProcess::spawn({.name = "odd", .program = "/bin/false"});
  ASSERT_FALSE(runner.ok());
  EXPECT_EQ(runner.error().message(), "runner odd ended with status 1");
}

TEST(RunnerProcessTest, LeavesNothingBehind) {
  auto runner = spawn("brief");
  const int pid = runner->process->pid();
  std::ifstream oom("/proc/" + std::to_string(pid) + "/oom_score_adj");
  int adjustment = 0;
  oom >> adjustment;
  EXPECT_EQ(adjustment, 500) << "the kernel takes runners before daemons";
  EXPECT_EQ(getpgid(pid), pid) << "a terminal's Ctrl-C does not reach it";
  std::ifstream command("/proc/" + std::to_string(pid) + "/cmdline");
  std::string socket;  // the last argument
  for (std::string word; std::getline(command, word, '\0');) socket = word;
  EXPECT_THAT(socket, testing::EndsWith(".sock"));
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(socket).parent_path()))
      << "nobody else can reach it, and a parent that is killed leaves no folder";

  runner->process.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_FALSE(runner->exit.wait(seconds(0)).has_value()) << "no news after the end";
}

}  // namespace
}  // namespace hearth::daemon
