#include "engine/machine/tuning.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine/kernels/isa.h"
#include "engine/kernels/test_kernels.h"
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
                           .panel_rows = {{"Q4_0", 17}},
                           .slabs_from = {{"Q4_0", 5}}};
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
  const bool kept = measure(*pool_, *isa_, {Encoding::kQ4_0, Encoding::kF32}, profile);
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

// Most often emulated, which takes long enough for tiles to be faster always.
TEST_F(MachineTest, MeasuresFromWhereSlabsAreFaster) {
  const kernels::SlabEmulation emulation;
  for (const kernels::Isa* isa : kernels::with_slabs()) {
    MachineProfile profile = this->profile();
    profile.panel_rows["Q8_0"] = 9;
    measure(*pool_, *isa, {Encoding::kQ4_0, Encoding::kQ8_0, Encoding::kF32}, profile);
    for (const auto& [encoding, rows] : profile.slabs_from) {
      EXPECT_TRUE(encoding == "Q4_0" || encoding == "Q8_0") << encoding;  // F32 has none
      EXPECT_GT(rows, 1);
    }
    EXPECT_EQ(profile.knows_slabs(Encoding::kQ4_0, *isa), profile.slabs_from.count("Q4_0") == 1);
    EXPECT_TRUE(profile.knows_slabs(Encoding::kF32, *isa));
    EXPECT_TRUE(profile.knows_slabs(Encoding::kQ4_0, kernels::isas().back()));
  }
}

TEST_F(MachineTest, TuningFollowsTheProfile) {
  save();
  const Tuning tuning = tune(folder_, *pool_, *isa_, {Encoding::kQ4_0});
  EXPECT_EQ(tuning.decode_threads, 1);
  EXPECT_EQ(tuning.panel_rows[static_cast<int>(Encoding::kQ4_0)], 17);
  EXPECT_EQ(tuning.panel_rows[static_cast<int>(Encoding::kQ8_0)], kernels::kPanelRowsDefault);
  EXPECT_EQ(tuning.slabs_from[static_cast<int>(Encoding::kQ4_0)], 5);
  EXPECT_EQ(tuning.slabs_from[static_cast<int>(Encoding::kQ8_0)], kernels::kSlabsFromDefault);
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
  for (const int rows : tuning.slabs_from) EXPECT_EQ(rows, kernels::kSlabsFromDefault);
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

// Logits of a prompt of five rows: those of an instruction set without slabs where tuning says that
// six rows are needed for slabs, others where it says that five are enough.
TEST_F(MachineTest, ProductsTakeSlabsFromTheRowsThatTuningSays) {
  const kernels::SlabEmulation emulation;
  const auto files = ModelFiles::open(HEARTH_SOURCE_DIR "/models/ember").value();
  const auto logits = [&](const kernels::Isa& isa, int slabs_from) {
    setenv("HEARTH_ISA", std::string(isa.name).c_str(), 1);
    MachineProfile profile = this->profile();
    for (int e = 0; e < kernels::kEncodings; ++e) {
      profile.slabs_from[std::string(to_string(static_cast<Encoding>(e)))] = slabs_from;
    }
    MachineKey key = this->key();
    key.isa = isa.name;
    EXPECT_TRUE(save_profile(profile_path(folder_, key), key, profile).ok());
    const auto model = RankModel::load(*files, {.shard = {0, files->spec().layers},
                                                .threads = physical_cores() + 1,
                                                .kv_tokens = 64,
                                                .cache_dir = folder_})
                           .value();
    unsetenv("HEARTH_ISA");
    return logits_of(*model);
  };
  for (const kernels::Isa* isa : kernels::with_slabs()) {
    const auto same_tiles = [&](const kernels::Isa& other) {
      return other.slabs == nullptr && other.kernels == isa->kernels;
    };
    const auto isas = kernels::isas();
    const auto tiles = std::find_if(isas.begin(), isas.end(), same_tiles);
    ASSERT_NE(tiles, isas.end());
    EXPECT_EQ(logits(*isa, 6), logits(*tiles, 6));
    EXPECT_NE(logits(*isa, 5), logits(*tiles, 5));
  }
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
