#include "runtime/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <thread>

#include "runtime/stage.h"
#include "runtime/test_pipeline.h"

namespace hearth::runtime {
namespace {

using testing::HasSubstr;

// Two prompts in chunks, then tokens drawn with temperature and penalties, a slot given to another
// sequence midway.
std::vector<int32_t> play(Executor& executor, int vocab, int top_k = 50) {
  const engine::SamplingParams sampling{.temperature = 0.9f,
                                        .top_k = top_k,
                                        .repetition_penalty = 1.2f,
                                        .frequency_penalty = 0.3f,
                                        .seed = 42};
  std::vector<int32_t> drawn;
  const auto run = [&](const Step& step) {
    auto result = executor.run(step);
    ASSERT_TRUE(result.ok()) << result.error().message();
    ASSERT_EQ(result->tokens.size(), static_cast<size_t>(step.outputs()));
    drawn.insert(drawn.end(), result->tokens.begin(), result->tokens.end());
  };
  Step step{.sequences = {{.slot = 0, .position = 0, .rows = 20}, {.slot = 3, .rows = 10}},
            .tokens = some_tokens(30, vocab)};
  step.sequences[1].sample = true;
  step.sequences[1].prompt_tokens = 10;
  step.sequences[1].sampling = sampling;
  run(step);
  step = {.sequences = {{.slot = 0,
                         .position = 20,
                         .rows = 5,
                         .sample = true,
                         .prompt_tokens = 25,
                         .sampling = {.temperature = 0}},
                        {.slot = 3,
                         .position = 10,
                         .rows = 1,
                         .sample = true,
                         .prompt_tokens = 10,
                         .sampling = sampling}},
          .tokens = some_tokens(5, vocab)};
  step.tokens.push_back(drawn.back());
  run(step);
  for (int i = 0; i < 6; ++i) {
    step.tokens = {drawn[drawn.size() - 2], drawn.back()};
    for (StepSequence& sequence : step.sequences) {
      sequence.position += sequence.rows;
      sequence.rows = 1;
    }
    run(step);
  }
  run({.releases = {0, 3},
       .sequences =
           {{.slot = 3, .rows = 7, .sample = true, .prompt_tokens = 7, .sampling = sampling}},
       .tokens = some_tokens(7, vocab)});
  return drawn;
}

class ExecutorTest : public testing::TestWithParam<const char*> {
 protected:
  const std::unique_ptr<engine::ModelFiles> files_ =
      open_files(std::string(HEARTH_SOURCE_DIR) + GetParam());
};

TEST_P(ExecutorTest, PipelinesComputeBitForBitWhatOneRankComputes) {
  const int vocab = files_->spec().vocab;
  std::vector<float> alone;
  for (const int ranks : {1, 2, 3}) {
    TestPipeline pipeline(*files_, {.stages = ranks});
    auto prompt = pipeline.executor().run(logits_step(2, 0, some_tokens(40, vocab)));
    ASSERT_TRUE(prompt.ok()) << prompt.error().message();
    auto next = pipeline.executor().run(logits_step(2, 40, {5}));
    ASSERT_TRUE(next.ok()) << next.error().message();
    std::vector<float> logits = std::move(prompt->logits);
    logits.insert(logits.end(), next->logits.begin(), next->logits.end());
    ASSERT_EQ(logits.size(), static_cast<size_t>(41 * vocab));
    if (ranks == 1) alone = logits;
    EXPECT_EQ(std::memcmp(alone.data(), logits.data(), logits.size() * sizeof(float)), 0)
        << ranks << " ranks";
  }
}

TEST_P(ExecutorTest, PipelinesDrawTheSameTokens) {
  const int vocab = files_->spec().vocab;
  TestPipeline alone(*files_, {});
  const std::vector<int32_t> expected = play(alone.executor(), vocab);
  EXPECT_EQ(expected.size(), 1u + 2 + 6 * 2 + 1);
  for (const int ranks : {2, 3}) {
    TestPipeline pipeline(*files_, {.stages = ranks});
    EXPECT_EQ(play(pipeline.executor(), vocab), expected) << ranks << " ranks";
  }
}

// Sums over slices are made in another order than one rank's, so the last bits differ.
TEST_P(ExecutorTest, GridsComputeWhatOneRankComputes) {
  const int vocab = files_->spec().vocab;
  const auto logits_of = [&](Executor& executor) {
    auto prompt = executor.run(logits_step(2, 0, some_tokens(40, vocab)));
    EXPECT_TRUE(prompt.ok()) << prompt.error().message();
    auto next = executor.run(logits_step(2, 40, {5}));
    EXPECT_TRUE(next.ok()) << next.error().message();
    std::vector<float> logits = std::move(prompt->logits);
    logits.insert(logits.end(), next->logits.begin(), next->logits.end());
    return logits;
  };
  TestPipeline one(*files_, {});
  const std::vector<float> alone = logits_of(one.executor());
  const std::vector<int32_t> drawn = play(one.executor(), vocab);
  const std::vector<int32_t> drawn_from_all = play(one.executor(), vocab, 0);
  for (const auto& [stages, shares] :
       {std::pair{1, std::vector<double>{2, 1}}, std::pair{2, std::vector<double>{1, 1}},
        std::pair{2, std::vector<double>{1, 3, 1}}}) {
    SCOPED_TRACE(std::to_string(stages) + " stages of " + std::to_string(shares.size()));
    TestPipeline grid(*files_, {.stages = stages, .shares = shares});
    const std::vector<float> logits = logits_of(grid.executor());
    ASSERT_EQ(logits.size(), alone.size());
    for (size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(logits[i], alone[i], 2e-3f) << i;
    EXPECT_EQ(play(grid.executor(), vocab), drawn);
    EXPECT_EQ(play(grid.executor(), vocab, 0), drawn_from_all);
  }
}

TEST_P(ExecutorTest, SlicesSendCandidatesWhereTheyAreEnough) {
  const int vocab = files_->spec().vocab;
  TestPipeline team(*files_, {.shares = {1, 1}});
  play(team.executor(), vocab);
  EXPECT_EQ(team.group(1).bytes_sent(kLogitsTag), 0u);
  EXPECT_GT(team.group(1).bytes_sent(kCandidatesTag), 0u);
  play(team.executor(), vocab, 0);
  EXPECT_GT(team.group(1).bytes_sent(kLogitsTag), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Models, ExecutorTest, testing::Values("/models/ember", "/tests/golden/models/llama"),
    [](const auto& info) {
      return std::string(info.param).substr(1 + std::string(info.param).rfind('/'));
    });

TEST(ExecutorFailureTest, AWrongStepFailsTheGroupAndNobodyHangs) {
  const auto files = open_files(llama_path());
  TestPipeline pipeline(*files, {.stages = 3});
  const auto refused = pipeline.executor().run(logits_step(0, 9, {1}));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("position 9 of slot 0, which holds 0"));
  EXPECT_THAT(pipeline.ending(1), HasSubstr("position 9 of slot 0"));
  EXPECT_THAT(pipeline.ending(2), HasSubstr("position 9 of slot 0"));
  EXPECT_FALSE(pipeline.executor().run(logits_step(0, 0, {1})).ok())
      << "a failed group stays failed";
}

TEST(ExecutorFailureTest, ARankThatFailsIsNamed) {
  const auto files = open_files(llama_path());
  TestPipeline pipeline(*files, {.stages = 2});
  ASSERT_TRUE(pipeline.executor().run(logits_step(0, 0, {1, 2, 3})).ok());
  pipeline.group(1).fail("its memory is gone");
  const auto result = pipeline.executor().run(logits_step(0, 3, {1}));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kUnavailable);
  EXPECT_THAT(result.error().message(), HasSubstr("rank 1"));
  EXPECT_THAT(result.error().message(), HasSubstr("its memory is gone"));
}

// A head that is not ours sends bytes that are no step: the follower refuses and lives to tell.
TEST(ExecutorFailureTest, AFollowerRefusesHostileDescriptors) {
  const auto files = open_files(llama_path());
  auto groups = fabric::in_memory_groups(2);
  const auto model = load_rank(*files, 1, 2);
  std::optional<Error> ending;
  std::thread follower([&] { ending.emplace(follow(*model, *groups[1])); });
  const std::vector<std::byte> garbage(100, std::byte{0x5a});
  ASSERT_TRUE(groups[0]->send(1, kStepTag, garbage).ok());
  follower.join();
  EXPECT_THAT(ending->message(), HasSubstr("step descriptor"));
  EXPECT_FALSE(groups[0]->status().ok());
}

TEST(ExecutorFailureTest, AFollowerRefusesHiddenStatesOfTheWrongSize) {
  const auto files = open_files(llama_path());
  auto groups = fabric::in_memory_groups(2);
  const auto model = load_rank(*files, 1, 2);
  std::optional<Error> ending;
  std::thread follower([&] { ending.emplace(follow(*model, *groups[1])); });
  ASSERT_TRUE(groups[0]->send(1, kStepTag, encode(logits_step(0, 0, {1, 2}))).ok());
  ASSERT_TRUE(groups[0]->send(1, kHiddenTag, std::vector<std::byte>(12)).ok());
  follower.join();
  EXPECT_THAT(ending->message(), HasSubstr("hidden states of 12 bytes"));
}

TEST(ExecutorFailureTest, AShardOfTheWrongPlaceIsRefused) {
  const auto files = open_files(llama_path());
  auto groups = fabric::in_memory_groups(2);
  const auto second = load_rank(*files, 1, 2);
  EXPECT_EQ(Executor::create(*second, *groups[0]).error().code(), Code::kInvalidArgument);
}

TEST(ExecutorFailureTest, ASliceOfTheWrongPlaceIsRefused) {
  const auto files = open_files(llama_path());
  const auto refuses = [&](int group_size, int shard_rank, int stages,
                           const std::vector<double>& shares) {
    auto groups = fabric::in_memory_groups(group_size);
    const auto model = load_rank(*files, shard_rank, stages, {}, shares);
    const auto created = Executor::create(*model, *groups[0]);
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(created.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(created.error().message(), HasSubstr("no part for rank 0"));
  };
  refuses(2, 1, 1, {1, 1});  // the second slice
  refuses(4, 2, 2, {1, 1});  // the second stage's first
  refuses(3, 0, 1, {1, 1});  // a group that is no grid
  refuses(4, 0, 1, {1, 1});  // all layers, where there are two stages
  refuses(2, 0, 1, {});      // all of all layers, where there are two ranks
  refuses(2, 0, 2, {1, 1});  // half the layers, where there is one stage
}

}  // namespace
}  // namespace hearth::runtime
