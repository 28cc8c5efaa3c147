#include "engine/machine/tuning.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine/kernels/isa.h"
#include "engine/machine.h"
#include "engine/machine/probe.h"
#include "engine/rank_model.h"
#include "engine/tensor/cores.h"

namespace hearth::engine {
namespace {

TEST(ThreadCounts, AscendToAll) {
  using Counts = std::vector<int>;
  EXPECT_EQ(thread_counts(1), Counts({1}));
  EXPECT_EQ(thread_counts(2), Counts({1, 2}));
  EXPECT_EQ(thread_counts(4), Counts({1, 2, 3, 4}));
  EXPECT_EQ(thread_counts(10), Counts({1, 2, 3, 4, 6, 8, 10}));
}

TEST(FewestThreads, ReachNearlyTheBestRate) {
  EXPECT_EQ(fewest_threads({{1, 5.0}}), 1);
  EXPECT_EQ(fewest_threads({{1, 5.0}, {2, 10.0}}), 2);
  EXPECT_EQ(fewest_threads({{1, 9.8}, {2, 10.0}}), 1);
  EXPECT_EQ(fewest_threads({{1, 9.26}, {2, 13.23}, {4, 11.59}}), 2);
}

TEST(Rates, UndisturbedOnesCountMore) {
  const Rate slow{1, true};
  const Rate fast{2, true};
  const Rate disturbed{3, false};
  EXPECT_EQ(better(slow, fast).per_second, 2);
  EXPECT_EQ(better(disturbed, slow).per_second, 1);
  EXPECT_EQ(better(slow, disturbed).per_second, 1);
  EXPECT_EQ(better(disturbed, {4, false}).per_second, 4);
}

class MachineTest : public testing::Test {
 protected:
  MachineTest()
      : isa_(kernels::choose_isa().value()), pool_(ThreadPool::create(physical_cores()).value()) {
    std::string pattern = testing::TempDir() + "machine_test_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~MachineTest() override { std::filesystem::remove_all(folder_); }

  MachineKey key() const {
    return {.cpu = processor().name, .isa = std::string(isa_->name), .cores = physical_cores()};
  }
  // One thread is said to be best for one row.
  MachineProfile profile() const {
    MachineProfile profile{.read = {{1, 1e10}},
                           .float_multiply_adds = 1e10,
                           .quantised_multiply_adds = 1e10,
                           .one_row = {{"Q4_0", {{1, 2e10}}}, {"BF16", {{1, 2e10}}}},
                           .panel_rows = {{"Q4_0", 17}}};
    if (key().cores > 1) profile.one_row["Q4_0"][key().cores] = 1e10;
    if (key().cores > 1) profile.one_row["BF16"][key().cores] = 1e10;
    return profile;
  }
  void save() const {
    ASSERT_TRUE(save_profile(profile_path(folder_, key()), key(), profile()).ok());
  }

  const kernels::Isa* isa_;
  std::unique_ptr<ThreadPool> pool_;
  std::string folder_;
};

// A busy machine may keep anything from being measured, so that only what was can be looked at.
TEST_F(MachineTest, MeasuresEveryNumberOfThreads) {
  MachineProfile profile;
  const bool kept = measure(*pool_, *isa_->kernels, {Encoding::kQ4_0, Encoding::kF32}, profile);
  EXPECT_EQ(kept, !profile.read.empty());
  const auto expect_rates = [&](const RateByThreads& rates) {
    std::vector<int> counts;
    for (const auto& [threads, rate] : rates) {
      counts.push_back(threads);
      EXPECT_GT(rate, 0);
    }
    EXPECT_EQ(counts, thread_counts(physical_cores()));
  };
  if (kept) {
    expect_rates(profile.read);
    EXPECT_GT(profile.float_multiply_adds, 0);
    EXPECT_GT(profile.quantised_multiply_adds, 0);
  }
  for (const auto& [encoding, rates] : profile.one_row) {
    EXPECT_EQ(encoding, "Q4_0");  // what most weights have
    expect_rates(rates);
  }
  for (const auto& [encoding, rows] : profile.panel_rows) {
    EXPECT_EQ(encoding, "Q4_0");  // floats have no panels
    EXPECT_GT(rows, kernels::kTileRows);
  }
}

TEST_F(MachineTest, TuningFollowsTheProfile) {
  save();
  const Tuning tuning = tune(folder_, *pool_, *isa_, {Encoding::kQ4_0});
  EXPECT_EQ(tuning.decode_threads, 1);
  EXPECT_EQ(tuning.panel_rows[static_cast<int>(Encoding::kQ4_0)], 17);
  EXPECT_EQ(tuning.panel_rows[static_cast<int>(Encoding::kQ8_0)], kernels::kPanelRowsDefault);
}

TEST_F(MachineTest, OtherPoolsNeitherMeasureNorLeaveThreadsOut) {
  auto pool = ThreadPool::create(physical_cores() + 1).value();
  EXPECT_EQ(tune(folder_, *pool, *isa_, {Encoding::kQ4_0}).decode_threads, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
  save();
  const Tuning tuning = tune(folder_, *pool, *isa_, {Encoding::kQ4_0});
  EXPECT_EQ(tuning.decode_threads, 0);
  EXPECT_EQ(tuning.panel_rows[static_cast<int>(Encoding::kQ4_0)], 17);
}

TEST_F(MachineTest, WithoutAFolderThereIsNoTuning) {
  const Tuning tuning = tune("", *pool_, *isa_, {Encoding::kQ4_0});
  EXPECT_EQ(tuning.decode_threads, 0);
  for (const int rows : tuning.panel_rows) EXPECT_EQ(rows, kernels::kPanelRowsDefault);
}

// One token's logits after a prompt.
std::vector<float> logits_of(RankModel& model) {
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5};
  const std::vector<int32_t> token = {6};
  const int32_t row = 0;
  std::vector<float> logits(model.spec().vocab);
  const SequenceRows first{.slot = 0, .position = 0, .rows = 5};
  const SequenceRows second{.slot = 0, .position = 5, .rows = 1};
  EXPECT_TRUE(model.forward({{&first, 1}, prompt, {}}, {}, {}, {}).ok());
  EXPECT_TRUE(model.forward({{&second, 1}, token, {&row, 1}}, {}, {}, logits).ok());
  return logits;
}

TEST_F(MachineTest, OneRowRunsOnTheThreadsThatAreBestForIt) {
  save();
  const auto files = ModelFiles::open(HEARTH_SOURCE_DIR "/models/ember").value();
  const Shard shard{0, files->spec().layers};
  const auto plain = RankModel::load(*files, {.shard = shard, .kv_tokens = 64}).value();
  EXPECT_EQ(plain->threads(), physical_cores());
  EXPECT_EQ(plain->decode_threads(), physical_cores());
  const auto tuned =
      RankModel::load(*files, {.shard = shard, .kv_tokens = 64, .cache_dir = folder_}).value();
  EXPECT_EQ(tuned->threads(), physical_cores());
  EXPECT_EQ(tuned->decode_threads(), 1);
  EXPECT_EQ(logits_of(*tuned), logits_of(*plain));
  const auto asked =
      RankModel::load(
          *files,
          {.shard = shard, .threads = physical_cores() + 1, .kv_tokens = 64, .cache_dir = folder_})
          .value();
  EXPECT_EQ(asked->decode_threads(), physical_cores() + 1);
}

TEST_F(MachineTest, CeilingsAreRates) {
  const auto ceilings = Ceilings::create().value();
  const auto files = ModelFiles::open(HEARTH_SOURCE_DIR "/models/ember").value();
  const auto model =
      RankModel::load(*files, {.shard = {0, files->spec().layers}, .kv_tokens = 64}).value();
  EXPECT_GT(ceilings->read_rate(model->weights()), 1e6);
  EXPECT_GT(ceilings->multiply_add_rate(false), 1e6);
  EXPECT_GT(ceilings->multiply_add_rate(true), 1e6);
}

}  // namespace
}  // namespace hearth::engine
