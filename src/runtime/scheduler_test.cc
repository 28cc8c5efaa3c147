#include "runtime/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "runtime/kv_plan.h"

namespace hearth::runtime {
namespace {

SequenceRequest request(uint64_t id, int prompt, int max_tokens) {
  SequenceRequest made{.id = id, .max_tokens = max_tokens};
  for (int i = 0; i < prompt; ++i) made.prompt.push_back(static_cast<int32_t>(id * 1000) + i);
  return made;
}

// The token that "the model" draws: a function of what the sequence holds, as a real one's is.
int32_t drawn_after(const std::vector<int32_t>& held) {
  uint32_t hash = 17;
  for (const int32_t token : held) hash = hash * 31 + static_cast<uint32_t>(token);
  return static_cast<int32_t>(hash % 997);
}

// Computes steps as ranks do, and checks that each is one that ranks could compute.
class Ranks {
 public:
  explicit Ranks(const SchedulerOptions& options)
      : options_(options), slots_(static_cast<size_t>(options.sequences_max)) {}

  std::vector<int32_t> run(const Step& step) {
    for (const int32_t slot : step.releases) slots_[static_cast<size_t>(slot)].clear();
    EXPECT_LE(step.rows(), options_.step_rows_max);
    std::set<int> used;
    std::vector<int32_t> drawn;
    const int32_t* token = step.tokens.data();
    for (const StepSequence& sequence : step.sequences) {
      EXPECT_TRUE(used.insert(sequence.slot).second);
      std::vector<int32_t>& held = slots_.at(static_cast<size_t>(sequence.slot));
      EXPECT_EQ(held.size(), static_cast<size_t>(sequence.position));
      held.insert(held.end(), token, token + sequence.rows);
      token += sequence.rows;
      if (sequence.sample) drawn.push_back(drawn_after(held));
    }
    EXPECT_EQ(token, step.tokens.data() + step.tokens.size());
    EXPECT_LE(blocks_used() * kKvBlockTokens, options_.kv_tokens);
    return drawn;
  }

  int64_t blocks_used() const {
    int64_t blocks = 0;
    for (const auto& held : slots_) {
      blocks += (static_cast<int64_t>(held.size()) + kKvBlockTokens - 1) / kKvBlockTokens;
    }
    return blocks;
  }

 private:
  const SchedulerOptions options_;
  std::vector<std::vector<int32_t>> slots_;
};

std::vector<int32_t> expected_answer(const SequenceRequest& request) {
  std::vector<int32_t> held = request.prompt;
  std::vector<int32_t> answer;
  while (static_cast<int>(answer.size()) < request.max_tokens) {
    answer.push_back(drawn_after(held));
    held.push_back(answer.back());
    if (std::count(request.end_ids.begin(), request.end_ids.end(), answer.back()) > 0) break;
  }
  return answer;
}

TEST(SchedulerTest, ComputesAPromptThenOneTokenAStep) {
  Scheduler scheduler({});
  EXPECT_FALSE(scheduler.next().has_value());
  scheduler.add(request(1, 5, 2));

  auto step = scheduler.next();
  ASSERT_TRUE(step.has_value());
  ASSERT_EQ(step->sequences.size(), 1u);
  EXPECT_EQ(step->sequences[0].rows, 5);
  EXPECT_EQ(step->sequences[0].prompt_tokens, 5);
  auto events = scheduler.complete(std::vector<int32_t>{42});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].token, 42);
  EXPECT_FALSE(events[0].finish.has_value());

  step = scheduler.next();
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->tokens, std::vector<int32_t>{42});
  EXPECT_EQ(step->sequences[0].position, 5);
  EXPECT_EQ(step->sequences[0].prompt_tokens, 5);
  events = scheduler.complete(std::vector<int32_t>{43});
  EXPECT_EQ(events.at(0).finish, FinishReason::kLength);

  step = scheduler.next();  // ranks must forget the slot
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->rows(), 0);
  EXPECT_EQ(step->releases.size(), 1u);
  scheduler.complete({});
  EXPECT_FALSE(scheduler.next().has_value());
}

TEST(SchedulerTest, EndsAtAnEndToken) {
  Scheduler scheduler({});
  SequenceRequest asked = request(1, 3, 100);
  asked.end_ids = {7, 9};
  scheduler.add(asked);
  scheduler.next();
  EXPECT_FALSE(scheduler.complete(std::vector<int32_t>{8}).at(0).finish.has_value());
  scheduler.next();
  EXPECT_EQ(scheduler.complete(std::vector<int32_t>{9}).at(0).finish, FinishReason::kStop);
  EXPECT_EQ(scheduler.running(), 0);
}

TEST(SchedulerTest, ALongPromptStallsNeitherAnswersNorShortPrompts) {
  const SchedulerOptions options{.sequences_max = 4, .kv_tokens = 8192, .step_rows_max = 64};
  Scheduler scheduler(options);
  Ranks ranks(options);
  scheduler.add(request(1, 4, 50));
  scheduler.complete(ranks.run(*scheduler.next()));
  scheduler.add(request(2, 4000, 2));
  scheduler.add(request(3, 20, 2));

  auto step = scheduler.next();
  ASSERT_EQ(step->sequences.size(), 3u);
  EXPECT_EQ(step->sequences[0].rows, 1);
  EXPECT_TRUE(step->sequences[0].sample);
  EXPECT_EQ(step->sequences[1].rows, 20) << "the short prompt is done in its first step";
  EXPECT_EQ(step->sequences[2].rows, 43) << "the long one has the rest of the budget";
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    for (const TokenEvent& event : scheduler.complete(ranks.run(*step))) answered += event.id == 1;
    step = scheduler.next();
  }
  EXPECT_EQ(answered, 10) << "a token each step";
}

TEST(SchedulerTest, CancellingFreesTheSlotInTheNextStep) {
  const SchedulerOptions options{.sequences_max = 1, .kv_tokens = 64, .step_rows_max = 64};
  Scheduler scheduler(options);
  Ranks ranks(options);
  scheduler.add(request(1, 4, 20));
  scheduler.add(request(2, 4, 20));
  auto step = scheduler.next();
  EXPECT_EQ(scheduler.waiting(), 1);
  scheduler.cancel(1);  // while its step is out
  EXPECT_TRUE(scheduler.complete(ranks.run(*step)).empty());

  step = scheduler.next();
  ASSERT_EQ(step->sequences.size(), 1u);
  EXPECT_EQ(step->tokens, request(2, 4, 20).prompt);
  EXPECT_EQ(step->releases.size(), 1u);
  scheduler.complete(ranks.run(*step));
  scheduler.cancel(2);
  scheduler.cancel(2);
  scheduler.cancel(77);
  step = scheduler.next();
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->rows(), 0);
  ranks.run(*step);
  EXPECT_EQ(ranks.blocks_used(), 0);
}

TEST(SchedulerTest, TheYoungestGivesWayWhenRoomRunsOutAndItsAnswerIsTheSame) {
  const SchedulerOptions options{.sequences_max = 2, .kv_tokens = 128, .step_rows_max = 64};
  Scheduler scheduler(options);
  Ranks ranks(options);
  const std::vector<SequenceRequest> asked = {request(1, 50, 60), request(2, 50, 60)};
  for (const SequenceRequest& each : asked) scheduler.add(each);
  std::map<uint64_t, std::vector<int32_t>> answers;
  bool gave_way = false;
  std::vector<uint64_t> order;
  while (auto step = scheduler.next()) {
    gave_way |= scheduler.waiting() > 0;
    for (const StepSequence& sequence : step->sequences) {
      EXPECT_EQ(sequence.prompt_tokens, sequence.sample ? 50 : 0);
    }
    for (const TokenEvent& event : scheduler.complete(ranks.run(*step))) {
      answers[event.id].push_back(event.token);
      if (event.finish) order.push_back(event.id);
    }
  }
  EXPECT_TRUE(gave_way);
  EXPECT_THAT(order, testing::ElementsAre(1, 2));
  for (const SequenceRequest& each : asked) EXPECT_EQ(answers[each.id], expected_answer(each));
}

TEST(SchedulerTest, SequencesAreDealtOutToAStepForEachStage) {
  const SchedulerOptions options{.sequences_max = 9, .stages = 3};
  Scheduler scheduler(options);
  Ranks ranks(options);
  for (uint64_t id = 1; id <= 7; ++id) scheduler.add(request(id, 4, 100));
  scheduler.complete(ranks.run(*scheduler.next()));

  const auto next_rows = [&](std::deque<std::vector<int32_t>>* out) {
    const auto step = scheduler.next();
    if (!step) return 0;
    out->push_back(ranks.run(*step));
    return step->rows();
  };
  std::deque<std::vector<int32_t>> out;
  EXPECT_EQ(next_rows(&out), 3);
  EXPECT_EQ(next_rows(&out), 2);
  EXPECT_EQ(next_rows(&out), 2);
  EXPECT_EQ(next_rows(&out), 0) << "all are in a step";
  const auto complete = [&] {
    const size_t events = scheduler.complete(out.front()).size();
    out.pop_front();
    return events;
  };
  EXPECT_EQ(complete(), 3u);
  EXPECT_EQ(next_rows(&out), 3);
  EXPECT_EQ(next_rows(&out), 0);

  // Those that are left are dealt out anew.
  scheduler.cancel(4);
  scheduler.cancel(5);
  scheduler.cancel(6);
  EXPECT_EQ(next_rows(&out), 0) << "a step that releases their slots";
  EXPECT_EQ(complete(), 0u);
  EXPECT_EQ(next_rows(&out), 0);
  EXPECT_EQ(complete(), 1u);
  EXPECT_EQ(complete(), 3u);
  EXPECT_EQ(complete(), 0u);
  EXPECT_EQ(next_rows(&out), 2);
  EXPECT_EQ(next_rows(&out), 1);
  EXPECT_EQ(next_rows(&out), 1);
  EXPECT_EQ(next_rows(&out), 0);
}

TEST(SchedulerTest, ChunksOfAPromptAreOutTogether) {
  const SchedulerOptions options{.sequences_max = 4, .stages = 2};
  Scheduler scheduler(options);
  scheduler.add(request(1, 200, 5));
  for (const int position : {0, 64, 128, 192}) {
    const auto step = scheduler.next();
    ASSERT_TRUE(step.has_value());
    ASSERT_EQ(step->sequences.size(), 1u);
    EXPECT_EQ(step->sequences[0].position, position);
    EXPECT_EQ(step->sequences[0].sample, position == 192);
  }
  EXPECT_FALSE(scheduler.next().has_value()) << "the next token is not known yet";
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(scheduler.complete({}).empty());
  EXPECT_EQ(scheduler.complete(std::vector<int32_t>{7}).size(), 1u);
  EXPECT_EQ(scheduler.next()->tokens, std::vector<int32_t>{7});
}

// Random arrivals and cancellations: whatever happens, every step can be computed, rooms are never
// exceeded, and each request that is not withdrawn ends exactly once with exactly the answer it
// would have had alone.
class SchedulerSeedTest : public testing::TestWithParam<unsigned> {};

TEST_P(SchedulerSeedTest, ServesEveryoneUnderRandomLoad) {
  std::mt19937 random(GetParam());
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const int slots = 1 + below(8);
  const SchedulerOptions options{.sequences_max = slots,
                                 .kv_tokens = kKvBlockTokens * (4 + below(20)),
                                 .step_rows_max = slots + below(200),
                                 .stages = 1 + static_cast<int>(GetParam()) % 4};
  const size_t out_max = options.stages == 1 ? 1 : static_cast<size_t>(options.stages) + 1;
  Scheduler scheduler(options);
  Ranks ranks(options);
  std::map<uint64_t, SequenceRequest> open;
  std::map<uint64_t, std::vector<int32_t>> answers;
  uint64_t next_id = 1;
  int finished = 0;
  int idle_steps = 0;
  std::deque<std::vector<int32_t>> out;  // what the steps in flight draw
  for (int round = 0; round < 60'000 && (round < 1200 || !open.empty()); ++round) {
    if (round < 1200 && below(4) == 0) {
      const int total = 2 + below(static_cast<int>(options.kv_tokens) - 1);
      const int prompt = 1 + below(total - 1);
      SequenceRequest made = request(next_id++, prompt, total - prompt);
      if (below(3) == 0) made.end_ids = {below(997), below(997), below(997)};
      open.emplace(made.id, made);
      scheduler.add(made);
    }
    const auto step = out.size() < out_max ? scheduler.next() : std::nullopt;
    if (step) out.push_back(ranks.run(*step));
    if (out.empty()) {
      ASSERT_TRUE(open.empty()) << "requests wait and nothing is done";
      continue;
    }
    if (!open.empty() && below(20) == 0) {
      const auto gone = std::next(open.begin(), below(static_cast<int>(open.size())));
      scheduler.cancel(gone->first);
      open.erase(gone);
    }
    const bool idle = step && step->rows() == 0 && out.size() == 1 && !open.empty();
    idle_steps = idle ? idle_steps + 1 : 0;
    ASSERT_LT(idle_steps, 2);
    if (step && out.size() < out_max && below(8) > 0) continue;
    const std::vector<int32_t> drawn = std::move(out.front());
    out.pop_front();
    for (const TokenEvent& event : scheduler.complete(drawn)) {
      const auto asked = open.find(event.id);
      ASSERT_NE(asked, open.end()) << "an event of a request that ended or was withdrawn";
      answers[event.id].push_back(event.token);
      if (!event.finish) continue;
      ASSERT_EQ(answers[event.id], expected_answer(asked->second));
      open.erase(asked);
      ++finished;
    }
  }
  EXPECT_TRUE(open.empty()) << open.size() << " requests starved";
  EXPECT_GT(finished, 5);
  for (; !out.empty(); out.pop_front()) scheduler.complete(out.front());
  if (auto step = scheduler.next()) ranks.run(*step);
  EXPECT_EQ(ranks.blocks_used(), 0) << "every slot was released";
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerSeedTest, testing::Range(1u, 41u));

}  // namespace
}  // namespace hearth::runtime
