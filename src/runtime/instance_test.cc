#include "runtime/instance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/limits.h"
#include "runtime/executor.h"
#include "runtime/test_pipeline.h"

namespace hearth::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto kPatience = std::chrono::seconds(60);

// Collects the events of one request.
class Reply {
 public:
  EventHandler handler() {
    return [this](GenerateEvent event) {
      std::lock_guard lock(mutex_);
      EXPECT_FALSE(over()) << "an event after the last";
      if (const auto* started = std::get_if<Started>(&event)) {
        EXPECT_FALSE(started_.has_value());
        started_ = *started;
      } else if (auto* delta = std::get_if<Delta>(&event)) {
        EXPECT_TRUE(started_.has_value());
        text_ += delta->text;
        ids_.insert(ids_.end(), delta->ids.begin(), delta->ids.end());
      } else if (const auto* finished = std::get_if<Finished>(&event)) {
        finished_ = *finished;
      } else {
        error_ = std::get<Error>(event);
      }
      changed_.notify_all();
    };
  }

  // Until the last event.
  Reply& wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return over(); }));
    return *this;
  }
  void wait_for_tokens(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return ids_.size() >= count; }));
  }

  std::string text() const { return locked(text_); }
  std::vector<int32_t> ids() const { return locked(ids_); }
  std::optional<Started> started() const { return locked(started_); }
  std::optional<Finished> finished() const { return locked(finished_); }
  std::optional<Error> error() const { return locked(error_); }
  std::string refusal() { return wait().error() ? error()->message() : "(none)"; }

 private:
  template <class T>
  T locked(const T& value) const {
    std::lock_guard lock(mutex_);
    return value;
  }
  bool over() const { return finished_.has_value() || error_.has_value(); }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Started> started_;
  std::string text_;
  std::vector<int32_t> ids_;
  std::optional<Finished> finished_;
  std::optional<Error> error_;
};

// Ember, its later stages on threads of this process.
class Ember {
 public:
  explicit Ember(int ranks = 1, const TestRoom& room = {}) : files_(open_files(ember_path())) {
    for (auto& group : fabric::in_memory_groups(ranks)) {
      groups_.push_back(std::make_unique<WatchedGroup>(std::move(group), gate_));
    }
    auto tokenizer = engine::Tokenizer::load(ember_path());
    EXPECT_TRUE(tokenizer.ok());
    tokenizer_ = std::move(tokenizer).value();
    for (int rank = 1; rank < ranks; ++rank) {
      followers_.emplace_back([this, rank, ranks, room] {
        const auto model = load_rank(*files_, rank, ranks, room);
        follow(*model, *groups_[static_cast<size_t>(rank)]);
      });
    }
    auto instance = Instance::start({.name = "ember",
                                     .files = files_.get(),
                                     .tokenizer = tokenizer_,
                                     .model = load_rank(*files_, 0, ranks, room),
                                     .group = std::move(groups_[0]),
                                     .on_failure = [this](const Error& error) {
                                       std::lock_guard lock(mutex_);
                                       failure_ = error;
                                       changed_.notify_all();
                                     }});
    EXPECT_TRUE(instance.ok()) << instance.error().message();
    instance_ = std::move(instance).value();
  }
  ~Ember() {
    gate_->open();
    instance_ = nullptr;
    for (size_t rank = 1; rank < groups_.size(); ++rank) groups_[rank]->fail("the test is over");
    for (std::thread& follower : followers_) follower.join();
  }

  Instance& instance() { return *instance_; }
  void stop() { instance_ = nullptr; }
  Gate& gate() { return *gate_; }
  fabric::Group& group(int rank) { return *groups_[static_cast<size_t>(rank)]; }
  const engine::Tokenizer& tokenizer() const { return *tokenizer_; }
  std::string wait_for_failure() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [this] { return failure_.has_value(); }));
    return failure_ ? failure_->message() : "";
  }

  // The whole answer to `request`.
  void ask(GenerateRequest request, Reply* reply) {
    const auto generation = instance_->generate(std::move(request), reply->handler());
    reply->wait();
  }

 private:
  const std::unique_ptr<engine::ModelFiles> files_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::vector<std::unique_ptr<WatchedGroup>> groups_;
  std::shared_ptr<const engine::Tokenizer> tokenizer_;
  std::vector<std::thread> followers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> failure_;
  std::unique_ptr<Instance> instance_;
};

GenerateRequest question(const std::string& text) {
  return {.prompt = ChatPrompt{R"([{"role":"user","content":")" + text + R"("}])"},
          .sampling = {.temperature = 0}};
}

TEST(InstanceTest, AnswersAQuestion) {
  Ember ember;
  Reply reply;
  ember.ask(question("What is the capital of France?"), &reply);
  EXPECT_EQ(reply.text(), "The capital of France is Paris.");
  ASSERT_TRUE(reply.finished().has_value());
  EXPECT_EQ(reply.finished()->reason, FinishReason::kStop);
  EXPECT_EQ(reply.finished()->usage.prompt_tokens, reply.started()->prompt_tokens);
  EXPECT_EQ(reply.finished()->usage.completion_tokens, static_cast<int>(reply.ids().size()));
  EXPECT_EQ(ember.tokenizer().decode(reply.ids(), /*skip_special=*/true), reply.text());
}

TEST(InstanceTest, TheDefaultPrecisionAnswersAsTheExactOneDoes) {
  Ember exact;
  Ember ember(1, {.precision = engine::Precision::kDefault});
  for (const char* text : {"What is the capital of Norway?", "What is the opposite of hot?",
                           "How do you say water in French?", "What is Hearth?", "Who are you?",
                           "What color is grass?", "What is a volcano?", "Tell me a story.",
                           "How do I add a device?", "Write a poem about rain."}) {
    Reply wanted;
    exact.ask(question(text), &wanted);
    Reply got;
    ember.ask(question(text), &got);
    EXPECT_GT(wanted.ids().size(), 1u) << text;
    EXPECT_EQ(got.ids(), wanted.ids()) << text << " " << wanted.text();
  }
}

TEST(InstanceTest, APipelineGivesTheSameAnswer) {
  GenerateRequest request = question("Tell me a story.");
  request.sampling = {.temperature = 1.0f, .seed = 11};
  Reply alone;
  Ember().ask(request, &alone);
  EXPECT_GT(alone.ids().size(), 10u);
  for (const int ranks : {2, 3}) {
    Reply reply;
    Ember(ranks).ask(request, &reply);
    EXPECT_EQ(reply.ids(), alone.ids()) << ranks << " ranks";
  }
}

// No answer leaves the last stage before a step beyond it was sent.
TEST(InstanceTest, TwoSequencesKeepTwoStagesBusy) {
  Ember ember(2);
  GenerateRequest request = question("Tell me a story.");
  request.ignore_eos = true;
  request.max_tokens = 200;
  Reply first;
  Reply second;
  const auto one = ember.instance().generate(request, first.handler());
  const auto other = ember.instance().generate(request, second.handler());
  first.wait_for_tokens(2);
  second.wait_for_tokens(2);
  ember.gate().hold({.ahead = 2});
  first.wait_for_tokens(60);
  second.wait_for_tokens(60);
  ember.gate().open();
  EXPECT_EQ(first.wait().ids(), second.wait().ids());
}

TEST(InstanceTest, AnswersDoNotDependOnWhoElseAsks) {
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 12; ++i) {
    GenerateRequest request = question(i % 2 == 0 ? "Tell me a story." : "What is Hearth?");
    request.sampling = {.temperature = 0.8f, .seed = static_cast<uint64_t>(i)};
    request.max_tokens = 40;
    requests.push_back(std::move(request));
  }
  for (const int ranks : {1, 3}) {
    SCOPED_TRACE(ranks);
    // Slots and room for a few at a time, so that requests wait and give way.
    Ember ember(ranks, {.kv_tokens = 256, .sequences_max = 4});
    std::vector<Reply> together(requests.size());
    std::vector<std::unique_ptr<Generation>> generations;
    for (size_t i = 0; i < requests.size(); ++i) {
      generations.push_back(ember.instance().generate(requests[i], together[i].handler()));
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      together[i].wait();
      Reply alone;
      ember.ask(requests[i], &alone);
      EXPECT_EQ(together[i].ids(), alone.ids()) << i;
      EXPECT_EQ(together[i].text(), alone.text()) << i;
    }
  }
}

TEST(InstanceTest, StopsAtAStopStringWhichIsNotShown) {
  Ember ember;
  GenerateRequest request = question("What is the capital of France?");
  request.stop = {"xyz", " is Par"};
  Reply reply;
  ember.ask(request, &reply);
  EXPECT_EQ(reply.text(), "The capital of France");
  EXPECT_EQ(reply.finished()->reason, FinishReason::kStop);
}

TEST(InstanceTest, EndsAtMaxTokensAndGoesOnPastTheEndWhenAsked) {
  Ember ember;
  GenerateRequest request = question("What is the capital of France?");
  request.max_tokens = 3;
  Reply cut;
  ember.ask(request, &cut);
  EXPECT_EQ(cut.finished()->reason, FinishReason::kLength);
  EXPECT_EQ(cut.ids().size(), 3u);

  request.max_tokens = 60;
  request.ignore_eos = true;
  Reply longer;
  ember.ask(request, &longer);
  EXPECT_EQ(longer.ids().size(), 60u);
}

TEST(InstanceTest, GeneratesUntilTheContextIsFull) {
  Ember ember(1, {.kv_tokens = 128, .sequences_max = 2});
  EXPECT_EQ(ember.instance().context(), 128);
  GenerateRequest request = question("Hello!");
  request.ignore_eos = true;
  Reply reply;
  ember.ask(request, &reply);
  EXPECT_EQ(reply.finished()->reason, FinishReason::kLength);
  EXPECT_EQ(reply.started()->prompt_tokens + static_cast<int>(reply.ids().size()), 128);
}

TEST(InstanceTest, RefusesWhatItCannotAnswerAndSaysWhy) {
  Ember ember;
  const auto refusal = [&](GenerateRequest request) {
    Reply reply;
    ember.ask(std::move(request), &reply);
    EXPECT_FALSE(reply.started().has_value());
    EXPECT_EQ(reply.error().value_or(Error(Code::kInternal, "")).code(), Code::kInvalidArgument);
    return reply.refusal();
  };
  EXPECT_EQ(refusal({.prompt = TokenPrompt{std::vector<int32_t>(1200, 5)}}),
            "prompt of 1200 tokens is longer than ember's context of 1024");
  EXPECT_EQ(refusal({.prompt = TokenPrompt{std::vector<int32_t>(1024, 5)}}),
            "prompt of 1024 tokens fills ember's context of 1024");
  EXPECT_THAT(refusal({.prompt = TokenPrompt{{5, 2048}}}), HasSubstr("token 2048"));
  EXPECT_THAT(refusal({.prompt = TokenPrompt{{-1}}}), HasSubstr("token -1"));
  EXPECT_THAT(refusal({.prompt = TokenPrompt{}}), HasSubstr("the prompt is empty"));
  EXPECT_THAT(refusal({.prompt = ChatPrompt{"{nonsense"}}), HasSubstr("messages must be a list"));
  EXPECT_THAT(refusal({.prompt = TextPrompt{"a"}, .max_tokens = -1}), HasSubstr("max_tokens"));
  EXPECT_THAT(refusal({.prompt = TextPrompt{"a"}, .sampling = {.top_p = 2}}), HasSubstr("top_p"));

  Reply reply;
  ember.ask(question("What is the capital of France?"), &reply);
  EXPECT_EQ(reply.text(), "The capital of France is Paris.") << "it answers after refusing";
}

TEST(InstanceTest, RefusesWhenTooManyWait) {
  Ember ember(1, {.kv_tokens = 1024, .sequences_max = 1});
  GenerateRequest request = question("Hello!");
  request.ignore_eos = true;
  std::vector<Reply> replies(limits::kQueuedRequestsMax + 20);
  std::vector<std::unique_ptr<Generation>> generations;
  for (Reply& reply : replies) {
    generations.push_back(ember.instance().generate(request, reply.handler()));
  }
  replies.back().wait();
  EXPECT_EQ(replies.back().error()->code(), Code::kResourceExhausted);
  EXPECT_THAT(replies.back().refusal(), HasSubstr("ember has 256 requests waiting"));
  EXPECT_FALSE(replies.front().error().has_value());
}

TEST(InstanceTest, AWithdrawnRequestIsSilentAndFreesItsSlot) {
  Ember ember(1, {.kv_tokens = 1024, .sequences_max = 1});
  GenerateRequest endless = question("Hello!");
  endless.ignore_eos = true;
  Reply withdrawn;
  auto generation = ember.instance().generate(endless, withdrawn.handler());
  withdrawn.wait_for_tokens(3);
  Reply next;
  auto waiting =
      ember.instance().generate(question("What is the capital of France?"), next.handler());
  generation = nullptr;
  const size_t heard = withdrawn.ids().size();
  EXPECT_EQ(next.wait().text(), "The capital of France is Paris.");
  EXPECT_EQ(withdrawn.ids().size(), heard);
  EXPECT_FALSE(withdrawn.finished().has_value());
  EXPECT_FALSE(withdrawn.error().has_value());
}

TEST(InstanceTest, StoppingEndsEveryRequestOnceAndGenerationsMayOutliveIt) {
  auto ember = std::make_unique<Ember>(1, TestRoom{.kv_tokens = 1024, .sequences_max = 1});
  GenerateRequest endless = question("Hello!");
  endless.ignore_eos = true;
  Reply running;
  Reply waiting;
  const auto first = ember->instance().generate(endless, running.handler());
  running.wait_for_tokens(1);
  const auto second = ember->instance().generate(endless, waiting.handler());
  ember->stop();
  EXPECT_EQ(running.refusal(), "ember was stopped");
  EXPECT_EQ(waiting.refusal(), "ember was stopped");
  EXPECT_EQ(waiting.error()->code(), Code::kUnavailable);
}

TEST(InstanceTest, AStoppedInstanceRefusesWhatComes) {
  Ember ember(1);
  GenerateRequest endless = question("Hello!");
  endless.ignore_eos = true;
  Reply running;
  const auto first = ember.instance().generate(endless, running.handler());
  running.wait_for_tokens(1);
  ember.instance().stop(Error(Code::kUnavailable, "called away"));
  EXPECT_EQ(running.refusal(), "called away");
  Reply late;
  const auto second = ember.instance().generate(endless, late.handler());
  EXPECT_EQ(late.refusal(), "called away");
}

TEST(InstanceTest, ARankThatFailsEndsAllRequestsWithItsName) {
  Ember ember(2);
  GenerateRequest endless = question("Hello!");
  endless.ignore_eos = true;
  Reply reply;
  const auto generation = ember.instance().generate(endless, reply.handler());
  reply.wait_for_tokens(2);
  ember.group(1).fail("its memory is gone");
  EXPECT_THAT(reply.refusal(), testing::AllOf(HasSubstr("ember stopped"), HasSubstr("rank 1"),
                                              HasSubstr("its memory is gone")));
  EXPECT_EQ(reply.error()->code(), Code::kUnavailable);
  EXPECT_THAT(ember.wait_for_failure(), HasSubstr("rank 1"));

  Reply late;
  ember.ask(question("Hello!"), &late);
  EXPECT_EQ(late.error()->code(), Code::kUnavailable);
  EXPECT_THAT(late.refusal(), HasSubstr("rank 1"));
}

TEST(InstanceTest, AnIdleInstanceNoticesThatARankIsGone) {
  Ember ember(2);
  ember.group(1).fail("its power went out");
  EXPECT_THAT(ember.wait_for_failure(), HasSubstr("its power went out"));
}

}  // namespace
}  // namespace hearth::runtime
