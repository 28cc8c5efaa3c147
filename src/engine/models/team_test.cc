// Models cut into slices, on teams of ranks in this process, against the same references as whole
// models.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "engine/models/test_golden.h"
#include "fabric/collectives.h"

namespace hearth::engine {
namespace {

// The ranks of one stage.
class Team {
 public:
  Team(const Reference& reference, LoadOptions options, const fabric::TeamOptions& sums = {})
      : groups_(fabric::in_memory_groups(options.shard.slices())) {
    std::vector<int> ranks(groups_.size());
    std::iota(ranks.begin(), ranks.end(), 0);
    options.kv_tokens = reference.kv_tokens;
    for (size_t r = 0; r < groups_.size(); ++r) {
      options.shard.slice = static_cast<int>(r);
      options.threads = 1 + static_cast<int>(r) % 2;
      models_.push_back(load(reference.model, options));
      auto team = fabric::Collectives::create(*groups_[r], ranks, sums);
      EXPECT_TRUE(team.ok());
      teams_.push_back(std::move(team).value());
      EXPECT_TRUE(models_[r]->join(*teams_[r]).ok());
    }
  }

  const RankModel& model() const { return *models_[0]; }

  // What the stage gives of a step on slot 0: hidden states, the same on every rank, or logits, put
  // together.
  std::vector<float> run(int position, std::span<const int32_t> tokens,
                         const std::vector<float>& hidden_in) {
    const int rows = static_cast<int>(tokens.size());
    const std::vector<SequenceRows> sequences = {{.slot = 0, .position = position, .rows = rows}};
    const std::vector<int32_t> wanted = all_rows(rows);
    const bool last = model().shard().last(model().spec().layers);
    std::vector<std::vector<float>> hidden(models_.size());
    std::vector<std::vector<float>> logits(models_.size());
    std::vector<std::thread> threads;
    for (size_t r = 0; r < models_.size(); ++r) {
      const std::span<const int> cuts = models_[r]->vocab_cuts();
      if (last) logits[r].resize(static_cast<size_t>(rows) * (cuts[r + 1] - cuts[r]));
      if (!last) hidden[r].resize(static_cast<size_t>(rows) * model().spec().hidden);
      threads.emplace_back([&, r] {
        const auto done =
            models_[r]->forward({.sequences = sequences, .tokens = tokens, .logit_rows = wanted},
                                hidden_in, hidden[r], logits[r]);
        EXPECT_TRUE(done.ok()) << done.error().message();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& other : hidden) EXPECT_EQ(other, hidden[0]);
    return last ? side_by_side(logits, rows) : hidden[0];
  }

 private:
  std::vector<float> side_by_side(const std::vector<std::vector<float>>& parts, int rows) const {
    const int vocab = model().spec().vocab;
    std::vector<float> whole(static_cast<size_t>(rows) * vocab);
    for (size_t r = 0; r < parts.size(); ++r) {
      const std::span<const int> cuts = model().vocab_cuts();
      const int columns = cuts[r + 1] - cuts[r];
      for (int row = 0; row < rows; ++row) {
        std::copy_n(parts[r].begin() + int64_t{row} * columns, columns,
                    whole.begin() + int64_t{row} * vocab + cuts[r]);
      }
    }
    return whole;
  }

  std::vector<std::unique_ptr<fabric::Group>> groups_;
  std::vector<std::unique_ptr<fabric::Collectives>> teams_;
  std::vector<std::unique_ptr<RankModel>> models_;
};

class TeamTest : public testing::TestWithParam<Reference> {
 protected:
  int any(int least, int most) { return std::uniform_int_distribution<int>(least, most)(engine_); }
  std::vector<double> any_shares() {
    std::vector<double> shares(any(2, 5));
    for (double& share : shares) share = any(1, 5);
    return shares;
  }
  // The logits of a model that is cut somehow, fed in steps of up to `step` tokens.
  std::vector<float> run(Precision precision, int step) {
    const int layers = load(GetParam().model, {.threads = 1})->spec().layers;
    const int cut = any(0, layers - 1);
    const std::vector<double> shares = any_shares();
    std::string text;
    for (const double share : shares) text += " " + std::to_string(static_cast<int>(share));
    RecordProperty("cut", "layer " + std::to_string(cut) + ", shares" + text);
    std::vector<Team> stages;
    for (const auto& [begin, end] : {std::pair{0, cut}, std::pair{cut, layers}}) {
      if (begin == end) continue;
      stages.emplace_back(
          GetParam(),
          LoadOptions{.shard = {.layer_begin = begin, .layer_end = end, .shares = shares},
                      .precision = precision});
    }
    std::vector<float> logits;
    const int count = static_cast<int>(golden_.ids.size());
    for (int position = 0; position < count; position += step) {
      const auto tokens =
          std::span(golden_.ids).subspan(position, std::min(step, count - position));
      std::vector<float> states;
      for (Team& stage : stages) states = stage.run(position, tokens, states);
      logits.insert(logits.end(), states.begin(), states.end());
    }
    return logits;
  }

  const Golden golden_ = read_golden(GetParam());
  std::mt19937 engine_{static_cast<uint32_t>(std::hash<std::string>()(GetParam().name))};
};

TEST_P(TeamTest, ExactPrecisionMatchesTheReference) {
  EXPECT_LE(max_difference(run(Precision::kExact, 17), golden_.logits), 2e-3f);
  EXPECT_LE(max_difference(run(Precision::kExact, 1000), golden_.logits), 2e-3f);
}

// A step of many rows computes one half while slow sums of the other are made; shorter steps do
// not.
TEST_P(TeamTest, OverlappedSumsChangeNoBit) {
  std::vector<int32_t> ids(golden_.ids.begin(), golden_.ids.end());
  ids.insert(ids.end(), golden_.ids.begin(), golden_.ids.end());
  const auto logits = [&](size_t step) {
    Team team(GetParam(), {.shard = {.shares = {2, 1}}, .precision = Precision::kExact},
              {.wire = fabric::WirePrecision::kBf16});
    std::vector<float> all;
    for (size_t at = 0; at < ids.size(); at += step) {
      const auto some = std::span(ids).subspan(at, std::min(step, ids.size() - at));
      const std::vector<float> out = team.run(static_cast<int>(at), some, {});
      all.insert(all.end(), out.begin(), out.end());
    }
    return all;
  };
  EXPECT_EQ(logits(1000), logits(40));
}

TEST_P(TeamTest, DefaultPrecisionIsClose) {
  const Agreement result = agreement(golden_.logits, run(Precision::kDefault, 1000),
                                     static_cast<int>(golden_.ids.size()));
  EXPECT_LE(result.divergence, 2e-3);
  EXPECT_GE(result.top1, 0.97);
}

INSTANTIATE_TEST_SUITE_P(Models, TeamTest, testing::ValuesIn(kReferences),
                         [](const auto& info) { return std::string(info.param.name); });

constexpr Reference kSmall = {"llama", "models/llama", "models/llama/golden.safetensors"};

LoadOptions slice_options(int slice, std::vector<double> shares) {
  return {.shard = {.slice = slice, .shares = std::move(shares)}, .threads = 1};
}

// One rank of a team whose others add nothing. Notes how many numbers were summed, and by whom.
class LoneSums final : public fabric::Collectives {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  bool slow() const override { return is_slow; }
  Result<void> all_reduce(std::span<float> data) override {
    counts.push_back(data.size());
    threads.insert(std::this_thread::get_id());
    return {};
  }
  Result<void> all_reduce_onto(std::span<float> data, std::span<float> to) override {
    onto.push_back(data.size());
    for (size_t i = 0; i < to.size(); ++i) to[i] += data[i];
    return {};
  }
  Result<void> all_gather(std::span<const std::byte> own,
                          std::span<const std::span<std::byte>>) override {
    gathers.push_back(own.size());
    return {};
  }

  bool is_slow = true;
  std::vector<size_t> counts, onto, gathers;
  std::set<std::thread::id> threads;
};

TEST(TeamSums, OfFewRowsAreAddedAtOnceAndOfManyHalfByHalf) {
  const auto model = load(kSmall.model, slice_options(0, {1, 1}));
  const auto hidden = static_cast<size_t>(model->spec().hidden);
  const size_t layers = model->spec().layers;
  LoneSums team;
  ASSERT_TRUE(model->join(team).ok());
  const auto run = [&](int rows) {
    team.counts.clear();
    team.onto.clear();
    const std::vector<int32_t> tokens(rows, 1);
    const std::vector<SequenceRows> sequences = {{.slot = 0, .position = 0, .rows = rows}};
    EXPECT_TRUE(model->forward({.sequences = sequences, .tokens = tokens}, {}, {}, {}).ok());
  };
  run(8);
  EXPECT_EQ(team.counts, std::vector<size_t>{8 * hidden}) << "of the embedding";
  EXPECT_EQ(team.onto, std::vector<size_t>(2 * layers, 8 * hidden));
  run(63);
  EXPECT_EQ(team.onto, std::vector<size_t>());
  EXPECT_EQ(team.counts, std::vector<size_t>(1 + 2 * layers, 63 * hidden));
  EXPECT_EQ(team.threads.size(), 1u);
  run(100);
  std::vector<size_t> wanted = {100 * hidden};  // of the embedding
  for (size_t half = 0; half < 2 * layers; ++half) {
    wanted.insert(wanted.end(), {64 * hidden, 36 * hidden});
  }
  EXPECT_EQ(team.counts, wanted);
  EXPECT_EQ(team.threads.size(), 2u) << "a thread besides the worker's";
  team.is_slow = false;
  run(100);
  EXPECT_EQ(team.counts, std::vector<size_t>(1 + 2 * layers, 100 * hidden)) << "links are fast";
}

TEST(TeamSums, OfSquaresOfAllHeadsAreNotRounded) {
  const auto model = load("models/minimax_m2", slice_options(0, {1, 1}));
  LoneSums team;
  ASSERT_TRUE(model->join(team).ok());
  const std::vector<int32_t> tokens(5, 1);
  const std::vector<SequenceRows> sequences = {{.slot = 0, .position = 0, .rows = 5}};
  ASSERT_TRUE(model->forward({.sequences = sequences, .tokens = tokens}, {}, {}, {}).ok());
  const size_t of_queries_and_keys = 2 * sizeof(float);
  EXPECT_EQ(team.gathers, std::vector<size_t>(model->spec().layers, 5 * of_queries_and_keys));
}

TEST(SliceLoad, TakesAboutItsShareOfTheMemory) {
  const auto bytes = [](const LoadOptions& options) {
    return static_cast<double>(load(kSmall.model, options)->weights().size());
  };
  const double whole = bytes({.threads = 1});
  EXPECT_EQ(bytes(slice_options(0, {1, 1})), whole / 2);
  EXPECT_EQ(bytes(slice_options(1, {1, 1})), whole / 2);
  // Besides their shares, both have the KV head whose queries they part.
  EXPECT_NEAR(bytes(slice_options(0, {3, 1})) / whole, 0.75, 0.05);
  EXPECT_NEAR(bytes(slice_options(1, {3, 1})) / whole, 0.25, 0.05);
}

TEST(SliceLoad, FilesKnowItsBytes) {
  const auto files = ModelFiles::open(path_of(kSmall.model));
  ASSERT_TRUE(files.ok());
  const int layers = (*files)->spec().layers;
  const auto bytes = [&](int slice, std::vector<double> shares) {
    return static_cast<double>(
        (*files)->shard_bytes({.layer_end = layers, .slice = slice, .shares = std::move(shares)}));
  };
  const double whole = bytes(0, {});
  EXPECT_NEAR(bytes(1, {1, 1}) / whole, 0.5, 0.01) << "norms are on both";
  EXPECT_NEAR(bytes(0, {3, 1}) / whole, 0.75, 0.05);
  EXPECT_NEAR(bytes(1, {3, 1}) / whole, 0.25, 0.05);
}

TEST(SliceLoad, BadSharesAreErrors) {
  for (const LoadOptions& options :
       {slice_options(2, {1, 1}), slice_options(-1, {1, 1}), slice_options(1, {}),
        slice_options(0, {1, 0}), slice_options(0, {1, -1}), slice_options(0, {1, NAN}),
        slice_options(0, std::vector<double>(65, 1.0))}) {
    const auto loaded = load_with(kSmall.model, options);
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code(), Code::kInvalidArgument);
  }
}

TEST(SliceLoad, ASliceComputesOnlyInItsTeam) {
  const auto model = load(kSmall.model, slice_options(1, {1, 1}));
  const std::vector<SequenceRows> sequences = {{.rows = 1}};
  const std::vector<int32_t> tokens = {1};
  const auto done = model->forward({.sequences = sequences, .tokens = tokens}, {}, {}, {});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::kInvalidArgument);
  const auto groups = fabric::in_memory_groups(3);
  const auto first = fabric::Collectives::create(*groups[0], {0, 1});
  const auto third = fabric::Collectives::create(*groups[2], {0, 1, 2});
  EXPECT_EQ(model->join(**first).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(model->join(**third).error().code(), Code::kInvalidArgument);
}

TEST(SliceLoad, AFailedSumFailsThePass) {
  const auto model = load(kSmall.model, slice_options(0, {1, 1}));
  const auto groups = fabric::in_memory_groups(2);
  const auto team = fabric::Collectives::create(*groups[0], {0, 1});
  ASSERT_TRUE(model->join(**team).ok());
  groups[1]->fail("its memory is gone");
  const std::vector<SequenceRows> sequences = {{.rows = 1}};
  const std::vector<int32_t> tokens = {1};
  const auto done = model->forward({.sequences = sequences, .tokens = tokens}, {}, {}, {});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace hearth::engine
