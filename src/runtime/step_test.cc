#include "runtime/step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "base/limits.h"

namespace hearth::runtime {
namespace {

Step example() {
  Step step;
  step.releases = {3, 0};
  step.sequences = {
      {.slot = 2, .position = 7, .rows = 3},
      {.slot = 5,
       .position = 40,
       .rows = 1,
       .sample = true,
       .prompt_tokens = 12,
       .sampling = {.temperature = 0.7f,
                    .top_k = 40,
                    .top_p = 0.9f,
                    .min_p = 0.05f,
                    .repetition_penalty = 1.1f,
                    .presence_penalty = -0.5f,
                    .frequency_penalty = 0.25f,
                    .seed = 0xfedcba9876543210}},
  };
  step.tokens = {11, 0, 2047, 5};
  return step;
}

TEST(StepTest, ComesBackAsItWasSent) {
  const Step sent = example();
  const auto step = decode_step(encode(sent));
  ASSERT_TRUE(step.ok()) << step.error().message();

  EXPECT_EQ(step->output, StepOutput::kTokens);
  EXPECT_EQ(step->releases, sent.releases);
  EXPECT_EQ(step->tokens, sent.tokens);
  ASSERT_EQ(step->sequences.size(), 2u);
  EXPECT_EQ(step->sequences[0].slot, 2);
  EXPECT_EQ(step->sequences[0].position, 7);
  EXPECT_EQ(step->sequences[0].rows, 3);
  EXPECT_FALSE(step->sequences[0].sample);
  const StepSequence& drawn = step->sequences[1];
  EXPECT_TRUE(drawn.sample);
  EXPECT_EQ(drawn.prompt_tokens, 12);
  EXPECT_EQ(drawn.sampling.temperature, 0.7f);
  EXPECT_EQ(drawn.sampling.top_k, 40);
  EXPECT_EQ(drawn.sampling.top_p, 0.9f);
  EXPECT_EQ(drawn.sampling.min_p, 0.05f);
  EXPECT_EQ(drawn.sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(drawn.sampling.presence_penalty, -0.5f);
  EXPECT_EQ(drawn.sampling.frequency_penalty, 0.25f);
  EXPECT_EQ(drawn.sampling.seed, 0xfedcba9876543210u);
}

TEST(StepTest, CountsWhatItGivesBack) {
  Step step = example();
  EXPECT_EQ(step.outputs(), 1);
  step.output = StepOutput::kLogits;
  EXPECT_EQ(step.outputs(), 4);
  EXPECT_EQ(decode_step(encode(step)).value().output, StepOutput::kLogits);
  EXPECT_EQ(Step().outputs(), 0);
}

TEST(StepTest, RefusesEveryTruncationAndTrailingBytes) {
  const std::vector<std::byte> bytes = encode(example());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto step = decode_step(std::span(bytes).first(size));
    ASSERT_FALSE(step.ok()) << size;
    EXPECT_EQ(step.error().code(), Code::kCorrupt);
  }
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_step(longer).ok());
}

TEST(StepTest, NeverAcceptsWhatIsInconsistent) {
  const std::vector<std::byte> bytes = encode(example());
  std::mt19937 random(7);
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::vector<std::byte> mutated = bytes;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i)
      mutated[random() % mutated.size()] = std::byte(random() % 256);
    const auto step = decode_step(mutated);
    if (!step.ok()) {
      EXPECT_EQ(step.error().code(), Code::kCorrupt);
      continue;
    }
    ++accepted;
    int rows = 0;
    for (const StepSequence& sequence : step->sequences) {
      EXPECT_GE(sequence.rows, 1);
      EXPECT_GE(sequence.position, 0);
      EXPECT_LT(sequence.slot, limits::kSequencesMax);
      EXPECT_TRUE(check(sequence.sampling).ok());
      EXPECT_LE(sequence.prompt_tokens, sequence.position + sequence.rows);
      rows += sequence.rows;
    }
    ASSERT_EQ(rows, step->rows());
  }
  EXPECT_GT(accepted, 0);  // changed tokens and seeds are no business of the format's
}

TEST(StepTest, RefusesASlotUsedTwiceAndHugeCounts) {
  Step twice = example();
  twice.sequences[1].slot = twice.sequences[0].slot;
  EXPECT_THAT(decode_step(encode(twice)).error().message(), testing::HasSubstr("slot used twice"));

  std::vector<std::byte> huge = encode(Step());
  for (size_t i = 5; i < huge.size(); ++i) huge[i] = std::byte{0xff};
  EXPECT_FALSE(decode_step(huge).ok());
}

TEST(StepTest, IsCheckedAgainstTheModel) {
  const Step step = example();
  EXPECT_TRUE(check(step, {.slots = 6, .vocab = 2048, .positions = 41}).ok());
  const auto message = [&](StepBounds bounds) { return check(step, bounds).error().message(); };
  EXPECT_EQ(message({.slots = 5, .vocab = 2048, .positions = 41}), "step: slot 5 is not below 5");
  EXPECT_EQ(message({.slots = 6, .vocab = 2047, .positions = 41}),
            "step: token 2047 is not below 2047");
  EXPECT_EQ(message({.slots = 6, .vocab = 2048, .positions = 40}),
            "step: position 40 is not below 40");
}

TEST(StepTest, SamplingParametersAreBounded) {
  EXPECT_TRUE(check(engine::SamplingParams()).ok());
  EXPECT_TRUE(check(engine::SamplingParams{.temperature = 0}).ok());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const engine::SamplingParams& params :
       std::initializer_list<engine::SamplingParams>{{.temperature = -1},
                                                     {.temperature = nan},
                                                     {.temperature = infinity},
                                                     {.top_k = -1},
                                                     {.top_p = 0},
                                                     {.top_p = 1.5f},
                                                     {.top_p = nan},
                                                     {.min_p = -0.1f},
                                                     {.min_p = nan},
                                                     {.repetition_penalty = 0},
                                                     {.repetition_penalty = infinity},
                                                     {.presence_penalty = nan},
                                                     {.frequency_penalty = infinity}}) {
    EXPECT_FALSE(check(params).ok());
  }
}

}  // namespace
}  // namespace hearth::runtime
