#include "engine/models/layer_clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "engine/model_files.h"
#include "engine/rank_model.h"

namespace hearth::engine {
namespace {

using std::chrono::milliseconds;
using testing::Each;
using testing::Gt;
using testing::IsEmpty;
using testing::SizeIs;

void run_for(LayerClock& clock, std::initializer_list<int> parts_ms) {
  clock.begin();
  for (const int& ms : parts_ms) {
    std::this_thread::sleep_for(milliseconds(ms));
    if (&ms + 1 != parts_ms.end()) clock.lap();
  }
  clock.end();
}

TEST(LayerClockTest, TellsPartsApart) {
  LayerClock clock({.layer_begin = 0, .layer_end = 2}, 2);
  EXPECT_EQ(clock.times().steps, 0);
  EXPECT_THAT(clock.times().layers, IsEmpty());
  for (int step = 0; step < 3; ++step) run_for(clock, {1, 2, 12, 30});
  const LayerTimes times = clock.times();
  EXPECT_EQ(times.steps, 3);
  ASSERT_THAT(times.layers, SizeIs(2));
  EXPECT_GE(times.embedding, 1e-3);
  EXPECT_GE(times.layers[0], 2e-3);
  EXPECT_GE(times.layers[1], 12e-3);
  EXPECT_GE(times.head, 30e-3);
  EXPECT_LT(times.embedding, times.layers[1]);
  EXPECT_LT(times.layers[0], times.layers[1]);
  EXPECT_LT(times.layers[1], times.head);
}

// Each time that its workers wake up, the first layers wait until a busy machine has room for them.
TEST(LayerClockTest, MostPassesMayBeDisturbed) {
  LayerClock clock({.layer_begin = 0, .layer_end = 2}, 2);
  for (int step = 0; step < 9; ++step) run_for(clock, {0, step == 4 ? 1 : 50, 2, 0});
  const LayerTimes times = clock.times();
  EXPECT_LT(times.layers[0], 50e-3);
  EXPECT_GE(times.layers[0], 1e-3);
}

TEST(LayerClockTest, OldPassesAreForgotten) {
  LayerClock clock({.layer_begin = 0, .layer_end = 1}, 1);
  run_for(clock, {0, 0, 0});
  EXPECT_LT(clock.times().layers[0], 5e-3);
  for (int step = 0; step < kLayerTimesSteps; ++step) run_for(clock, {0, 5, 0});
  EXPECT_GE(clock.times().layers[0], 5e-3);
  EXPECT_EQ(clock.times().steps, kLayerTimesSteps + 1);
}

TEST(LayerClockTest, AMiddleStageHasNeitherEmbeddingNorHead) {
  LayerClock clock({.layer_begin = 3, .layer_end = 5}, 8);
  run_for(clock, {1, 1, 1, 1});
  const LayerTimes times = clock.times();
  EXPECT_EQ(times.layer_begin, 3);
  EXPECT_THAT(times.layers, SizeIs(2));
  EXPECT_EQ(times.embedding, 0);
  EXPECT_EQ(times.head, 0);
}

TEST(LayerClockTest, DeepModelsAreTimedNowAndThen) {
  LayerClock clock({.layer_begin = 0, .layer_end = 90}, 90);
  for (int pass = 0; pass < 40; ++pass) {
    clock.begin();
    for (int i = 0; i < 91; ++i) clock.lap();
    clock.end();
  }
  EXPECT_EQ(clock.times().steps, 10) << "93 readings in one of four passes";
  EXPECT_THAT(clock.times().layers, SizeIs(90));
}

class TimedModelTest : public testing::Test {
 protected:
  void load(const Shard& shard) {
    const auto files = ModelFiles::open(HEARTH_SOURCE_DIR "/models/ember");
    ASSERT_TRUE(files.ok());
    auto model = RankModel::load(**files, {.shard = shard, .threads = 1, .kv_tokens = 256});
    ASSERT_TRUE(model.ok()) << model.error().message();
    model_ = *std::move(model);
    const bool last = shard.last(model_->spec().layers);
    logits_.resize(last ? static_cast<size_t>(model_->spec().vocab) : 0);
  }

  // `rows` tokens more of the sequence; seconds that it took.
  double step(int rows) {
    const std::vector<int32_t> tokens(static_cast<size_t>(rows), 5);
    const std::vector<SequenceRows> sequences = {{.position = position_, .rows = rows}};
    const std::vector<int32_t> logit_rows = {rows - 1};
    const bool last = !logits_.empty();
    std::vector<float> hidden(last ? 0 : static_cast<size_t>(rows) * model_->spec().hidden);
    const auto begin = std::chrono::steady_clock::now();
    const auto done = model_->forward(
        {.sequences = sequences, .tokens = tokens, .logit_rows = logit_rows}, {}, hidden, logits_);
    EXPECT_TRUE(done.ok()) << done.error().message();
    position_ += rows;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  std::unique_ptr<RankModel> model_;
  std::vector<float> logits_;
  int position_ = 0;
};

TEST_F(TimedModelTest, TokensAreTimedAndPromptsAreNot) {
  ASSERT_NO_FATAL_FAILURE(load({.layer_begin = 0, .layer_end = 6}));
  step(20);
  EXPECT_EQ(model_->layer_times().steps, 0);
  std::vector<double> walls;
  for (int i = 0; i < kLayerTimesSteps; ++i) walls.push_back(step(1));
  const LayerTimes times = model_->layer_times();
  EXPECT_EQ(times.steps, kLayerTimesSteps);
  EXPECT_THAT(times.layers, SizeIs(6));
  EXPECT_THAT(times.layers, Each(Gt(0)));
  EXPECT_GT(times.embedding, 0);
  EXPECT_GT(times.head, 0);
  const double sum =
      times.embedding + times.head + std::accumulate(times.layers.begin(), times.layers.end(), 0.0);
  const double fastest = *std::ranges::min_element(walls);
  EXPECT_LE(sum, fastest) << "no part took less than its least";
  EXPECT_GE(sum, fastest / 4) << "most of a step is in its parts";
}

TEST_F(TimedModelTest, AStageTimesItsOwnLayers) {
  ASSERT_NO_FATAL_FAILURE(load({.layer_begin = 0, .layer_end = 4}));
  step(1);
  const LayerTimes times = model_->layer_times();
  EXPECT_EQ(times.steps, 1);
  EXPECT_THAT(times.layers, SizeIs(4));
  EXPECT_GT(times.embedding, 0);
  EXPECT_EQ(times.head, 0);
}

}  // namespace
}  // namespace hearth::engine
