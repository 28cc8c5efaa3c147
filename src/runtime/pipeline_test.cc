// Scheduler and executor together: several steps in flight.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/scheduler.h"
#include "runtime/test_pipeline.h"

namespace hearth::runtime {
namespace {

using testing::HasSubstr;

using Answers = std::map<uint64_t, std::vector<int32_t>>;

SequenceRequest request(uint64_t id, int prompt, int max_tokens, int vocab) {
  return {.id = id,
          .prompt = some_tokens(prompt, vocab),
          .max_tokens = max_tokens,
          .sampling = {.temperature = 0.9f, .repetition_penalty = 1.1f, .seed = id}};
}

// Prompts of one chunk and of several, answers of different lengths.
std::vector<SequenceRequest> mixed_requests(int vocab) {
  std::vector<SequenceRequest> requests;
  for (const auto& [prompt, answer] : {std::pair{150, 4}, {3, 20}, {70, 9}, {1, 16}, {12, 12}}) {
    requests.push_back(request(requests.size() + 1, prompt, answer, vocab));
  }
  return requests;
}

struct Served {
  Answers answers;
  int in_flight = 0;  // at most
};

// Submits whatever may be submitted before it waits for an answer, as an instance does.
Result<Served> serve(Executor& executor, const std::vector<SequenceRequest>& requests,
                     const TestRoom& room = {}) {
  Scheduler scheduler({.sequences_max = room.sequences_max,
                       .kv_tokens = room.kv_tokens,
                       .stages = executor.stages()});
  for (const SequenceRequest& each : requests) scheduler.add(each);
  Served served;
  for (;;) {
    auto step = executor.full() ? std::nullopt : scheduler.next();
    if (step) {
      HEARTH_RETURN_IF_ERROR(executor.submit(*std::move(step)));
      served.in_flight = std::max(served.in_flight, executor.in_flight());
      continue;
    }
    if (executor.in_flight() == 0) return served;
    HEARTH_TRY(const StepResult result, executor.collect());
    for (const TokenEvent& event : scheduler.complete(result.tokens)) {
      served.answers[event.id].push_back(event.token);
    }
  }
}

class PipelineModelTest : public testing::TestWithParam<const char*> {};

// The answers, and then the logits, that what the stages have cached gives.
TEST_P(PipelineModelTest, StepsInFlightChangeNoBit) {
  const auto files =
      open_files(std::string(HEARTH_SOURCE_DIR) + "/tests/golden/models/" + GetParam());
  const int vocab = files->spec().vocab;
  Answers alone;
  std::vector<float> logits_alone;
  for (int stages = 1; stages <= std::min(files->spec().layers, 4); ++stages) {
    SCOPED_TRACE(std::to_string(stages) + " stages");
    TestPipeline pipeline(*files, {.stages = stages});
    Executor& executor = pipeline.executor();
    const auto served = serve(executor, mixed_requests(vocab));
    ASSERT_TRUE(served.ok()) << served.error().message();
    EXPECT_EQ(served->in_flight, stages == 1 ? 1 : stages + 1);

    std::vector<float> logits;
    for (const int chunk : {30, 20, 1}) {
      const int position = chunk == 30 ? 0 : chunk == 20 ? 30 : 50;
      ASSERT_TRUE(executor
                      .submit({.sequences = {{.slot = 0, .position = position, .rows = chunk}},
                               .tokens = some_tokens(chunk, vocab)})
                      .ok());
      if (executor.full()) {
        ASSERT_TRUE(executor.collect().ok());
      }
    }
    ASSERT_TRUE(executor.submit(logits_step(0, 51, some_tokens(8, vocab))).ok());
    EXPECT_TRUE(executor.full()) << "logits are collected at once";
    while (executor.in_flight() > 0) logits = executor.collect()->logits;
    ASSERT_EQ(logits.size(), static_cast<size_t>(8 * vocab));
    if (stages == 1) {
      alone = served->answers;
      logits_alone = logits;
    }
    EXPECT_EQ(served->answers, alone);
    EXPECT_EQ(std::memcmp(logits.data(), logits_alone.data(), logits.size() * sizeof(float)), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PipelineModelTest,
                         testing::Values("deepseek_v3", "gemma3_text", "glm4_moe", "gpt_oss",
                                         "kimi_k2", "llama", "llama_linear", "minimax_m2",
                                         "mistral", "phi3", "phi3_longrope", "qwen2", "qwen2_moe",
                                         "qwen2_yarn", "qwen3", "qwen3_5", "qwen3_5_moe",
                                         "qwen3_moe", "qwen3_next"),
                         [](const auto& info) { return std::string(info.param); });

class PipelineTest : public testing::Test {
 protected:
  const std::unique_ptr<engine::ModelFiles> files_ = open_files(ember_path());
  const int vocab_ = files_->spec().vocab;
};

// The last stage answers no step before as many are on their way as there are stages.
TEST_F(PipelineTest, EveryStageHasASequenceToItself) {
  constexpr int kTokens = 10;
  for (const Grid& grid : {Grid{.stages = 2}, Grid{.stages = 4}, Grid{2, {1, 1}}}) {
    SCOPED_TRACE(std::to_string(grid.stages) + " stages, " + std::to_string(grid.ranks()));
    TestPipeline pipeline(*files_, grid);
    std::vector<SequenceRequest> requests;
    for (int i = 0; i < grid.stages; ++i) {
      requests.push_back(request(static_cast<uint64_t>(i), 5, kTokens, vocab_));
    }
    // The first step has all prompts; from then on every token is a step of its own.
    const int steps = 1 + (kTokens - 1) * grid.stages;
    pipeline.gate().hold({.first = 1, .ahead = grid.stages, .steps = steps});
    const auto served = serve(pipeline.executor(), requests);
    ASSERT_TRUE(served.ok()) << served.error().message();
    EXPECT_EQ(served->answers.size(), requests.size());
  }
}

TEST_F(PipelineTest, ChunksOfAPromptFollowEachOther) {
  constexpr int kRows = 64;
  constexpr int kChunks = 8;
  for (const int stages : {2, 4}) {
    SCOPED_TRACE(stages);
    ASSERT_EQ(prompt_rows(kRows * kChunks, stages, 512), kRows);
    TestPipeline pipeline(*files_, {.stages = stages});
    pipeline.gate().hold({.ahead = stages + 1, .steps = kChunks});
    const auto served = serve(pipeline.executor(), {request(1, kRows * kChunks, 1, vocab_)});
    ASSERT_TRUE(served.ok()) << served.error().message();
  }
}

// Hidden states of a step are larger than what a connection takes at once.
TEST_F(PipelineTest, RanksThatAllSendDoNotWaitForEachOther) {
  const TestRoom room{.kv_tokens = 4096};
  std::vector<SequenceRequest> requests = mixed_requests(vocab_);
  for (const auto& [prompt, answer] : {std::pair{400, 3}, {250, 30}}) {
    requests.push_back(request(requests.size() + 1, prompt, answer, vocab_));
  }
  Answers alone;
  for (const Grid& grid : {Grid{}, Grid{.stages = 2}, Grid{.stages = 3}, Grid{.stages = 4},
                           Grid{2, {1, 1}, true}, Grid{.stages = 2, .tcp = true},
                           Grid{.stages = 3, .tcp = true}, Grid{.stages = 4, .tcp = true}}) {
    SCOPED_TRACE(std::to_string(grid.stages) + " stages, " + std::to_string(grid.ranks()) +
                 (grid.tcp ? " over tcp" : ""));
    TestPipeline pipeline(*files_, grid, room);
    const auto served = serve(pipeline.executor(), requests, room);
    ASSERT_TRUE(served.ok()) << served.error().message();
    if (grid.ranks() == 1) alone = served->answers;
    if (grid.shares.empty()) {
      EXPECT_EQ(served->answers, alone);
    }

    Executor& executor = pipeline.executor();
    constexpr int kRows = 400;
    for (int slot = 0; slot < room.sequences_max; ++slot) {
      if (executor.full()) {
        ASSERT_TRUE(executor.collect().ok());
      }
      ASSERT_TRUE(executor
                      .submit({.releases = {slot},
                               .sequences = {{.slot = slot, .rows = kRows}},
                               .tokens = some_tokens(kRows, vocab_)})
                      .ok());
    }
    while (executor.in_flight() > 0) ASSERT_TRUE(executor.collect().ok());
  }
}

class PipelineFailureTest : public PipelineTest {
 protected:
  // Steps fill the pipeline, and none is answered.
  void fill(TestPipeline* pipeline) {
    pipeline->gate().hold({.ahead = 1000});
    for (int slot = 0; !pipeline->executor().full(); ++slot) {
      ASSERT_TRUE(pipeline->executor().submit(step_of(slot, 0)).ok());
    }
    ASSERT_EQ(pipeline->executor().in_flight(), pipeline->executor().stages() + 1);
  }
  Step step_of(int slot, int position) const {
    return {.sequences = {{.slot = slot, .position = position, .rows = 5}},
            .tokens = some_tokens(5, vocab_)};
  }
};

TEST_F(PipelineFailureTest, ARankThatFailsWithStepsInFlightIsNamedOnEveryRank) {
  for (const bool tcp : {false, true}) {
    SCOPED_TRACE(tcp ? "tcp" : "memory");
    TestPipeline pipeline(*files_, {.stages = 3, .tcp = tcp});
    fill(&pipeline);
    pipeline.group(1).fail("its memory is gone");
    pipeline.gate().open();
    const auto collected = pipeline.executor().collect();
    ASSERT_FALSE(collected.ok());
    EXPECT_THAT(collected.error().message(), HasSubstr("rank 1"));
    EXPECT_THAT(collected.error().message(), HasSubstr("its memory is gone"));
    EXPECT_EQ(pipeline.executor().in_flight(), 0);
    EXPECT_FALSE(pipeline.executor().run(step_of(0, 5)).ok()) << "a failed group stays failed";
    for (const int rank : {1, 2}) {
      EXPECT_THAT(pipeline.ending(rank), HasSubstr("its memory is gone")) << rank;
    }
  }
}

TEST_F(PipelineFailureTest, AWrongStepBehindOthersFailsEveryRank) {
  TestPipeline pipeline(*files_, {.stages = 3});
  ASSERT_TRUE(pipeline.executor().submit(step_of(0, 0)).ok());
  ASSERT_TRUE(pipeline.executor().submit(step_of(1, 0)).ok());
  const auto refused = pipeline.executor().submit(step_of(1, 9));
  ASSERT_FALSE(refused.ok());
  for (const int rank : {1, 2}) {
    EXPECT_THAT(pipeline.ending(rank), HasSubstr("position 9 of slot 1, which holds 5")) << rank;
  }
  EXPECT_EQ(pipeline.executor().in_flight(), 0);
}

}  // namespace
}  // namespace hearth::runtime
