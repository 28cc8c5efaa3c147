// Whole models against logits that Hugging Face transformers computed in float32, or
// tests/golden/make by the same definitions, on every instruction set that this machine supports.
#include "engine/rank_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "engine/kernels/isa.h"
#include "engine/kernels/test_kernels.h"
#include "engine/models/test_golden.h"

namespace hearth::engine {
namespace {

// Runs one step through the stages of a pipeline; logits of every row.
std::vector<float> run_step(const std::vector<RankModel*>& stages,
                            const std::vector<SequenceRows>& sequences,
                            std::span<const int32_t> tokens) {
  const int rows = static_cast<int>(tokens.size());
  const ModelSpec& spec = stages[0]->spec();
  const std::vector<int32_t> wanted = all_rows(rows);
  const StepRows step{.sequences = sequences, .tokens = tokens, .logit_rows = wanted};
  std::vector<float> hidden_in;
  std::vector<float> logits;
  for (RankModel* stage : stages) {
    const bool last = stage->shard().last(spec.layers);
    std::vector<float> hidden_out(last ? 0 : static_cast<size_t>(rows) * spec.hidden);
    if (last) logits.resize(static_cast<size_t>(rows) * spec.vocab);
    const auto done =
        stage->forward(step, hidden_in, hidden_out, last ? logits : std::span<float>());
    EXPECT_TRUE(done.ok()) << done.error().message();
    hidden_in = std::move(hidden_out);
  }
  return logits;
}

// Feeds `tokens` to slot 0 in steps of these sizes (the last one repeats).
std::vector<float> run(const std::vector<RankModel*>& stages, const std::vector<int32_t>& tokens,
                       const std::vector<int>& step_sizes) {
  std::vector<float> logits;
  int position = 0;
  for (size_t i = 0; position < static_cast<int>(tokens.size()); ++i) {
    const int size = std::min(step_sizes[std::min(i, step_sizes.size() - 1)],
                              static_cast<int>(tokens.size()) - position);
    const std::vector<float> part =
        run_step(stages, {{.slot = 0, .position = position, .rows = size}},
                 std::span(tokens).subspan(position, size));
    logits.insert(logits.end(), part.begin(), part.end());
    position += size;
  }
  return logits;
}

std::vector<float> prefill(RankModel& model, const std::vector<int32_t>& tokens) {
  return run({&model}, tokens, {static_cast<int>(tokens.size())});
}

class GoldenTest : public testing::TestWithParam<std::tuple<Reference, std::string_view>> {
 protected:
  const Reference& reference() const { return std::get<0>(GetParam()); }
  std::string_view isa() const { return std::get<1>(GetParam()); }
  std::unique_ptr<RankModel> load_model(LoadOptions options) const {
    options.kv_tokens = reference().kv_tokens;
    return load(reference().model, options, isa());
  }
  Agreement with_reference(const std::vector<float>& logits) const {
    return agreement(golden_.logits, logits, static_cast<int>(golden_.ids.size()));
  }
  void check_default_precision() {
    const auto model = load_model({.threads = 2});
    EXPECT_EQ(model->isa(), isa());
    const Agreement result = with_reference(prefill(*model, golden_.ids));
    EXPECT_LE(result.divergence, 2e-3);
    EXPECT_GE(result.top1, 0.97);
    RecordProperty("divergence", std::to_string(result.divergence));
  }
  const Golden golden_ = read_golden(reference());
};

TEST_P(GoldenTest, ExactPrecisionMatchesTheReference) {
  const auto model = load_model({.precision = Precision::kExact, .threads = 2});
  EXPECT_EQ(model->isa(), isa());
  std::vector<float> logits = prefill(*model, golden_.ids);
  const float difference = max_difference(logits, golden_.logits);
  EXPECT_LE(difference, 2e-3f);
  RecordProperty("difference", std::to_string(difference));

  std::vector<int32_t> greedy;
  const size_t vocab = model->spec().vocab;
  int position = static_cast<int>(golden_.ids.size());
  while (greedy.size() < golden_.greedy.size()) {
    greedy.push_back(most_likely(std::span(logits).last(vocab)));
    logits = run_step({model.get()}, {{.slot = 0, .position = position++, .rows = 1}},
                      std::span(greedy).last(1));
  }
  EXPECT_EQ(greedy, golden_.greedy);
}

TEST_P(GoldenTest, DefaultPrecisionIsClose) { check_default_precision(); }

// What coarser caches may cost: several times what they do. A mixture of experts takes others at
// near ties, and then costs up to fifty times as much.
TEST_P(GoldenTest, CoarserCachesAreNear) {
  const std::vector<float> finest = prefill(*load_model({.threads = 2}), golden_.ids);
  for (const KvType type : {KvType::kBF16, KvType::kQ8}) {
    const auto model = load_model({.kv = type, .threads = 2});
    EXPECT_EQ(model->kv_type(), type);
    const std::vector<float> logits = prefill(*model, golden_.ids);
    EXPECT_GT(max_difference(logits, finest), 0);
    const Agreement result = with_reference(logits);
    const std::string name(to_string(type));
    const double bound = type == KvType::kQ8 ? 2e-3 : 2e-4;
    EXPECT_LE(result.divergence, model->spec().moe ? 50 * bound : bound) << name;
    EXPECT_GE(result.top1, type == KvType::kQ8 ? 0.8 : 0.9) << name;
    RecordProperty("divergence_" + name, std::to_string(result.divergence));
    RecordProperty("top1_" + name, std::to_string(result.top1));
  }
}

TEST_P(GoldenTest, APipelineOfTwoGivesTheBitsOfOne) {
  for (const Precision precision : {Precision::kExact, Precision::kDefault}) {
    const auto whole = load_model({.precision = precision, .threads = 2});
    for (int cut = 1; cut < whole->spec().layers; ++cut) {
      const auto front = load_model({.shard = {0, cut}, .precision = precision, .threads = 1});
      const auto back =
          load_model({.shard = {cut, whole->spec().layers}, .precision = precision, .threads = 2});
      whole->release(0);
      EXPECT_EQ(run({front.get(), back.get()}, golden_.ids, {17, 1, 5}),
                run({whole.get()}, golden_.ids, {17, 1, 5}));
      EXPECT_LT(front->weights().size(), whole->weights().size());
      EXPECT_LT(back->weights().size(), whole->weights().size());
    }
  }
}

TEST_P(GoldenTest, ExactBitsDependNeitherOnStepsNorOnCompanyNorOnThreads) {
  const auto model = load_model({.precision = Precision::kExact, .threads = 2});
  const std::vector<float> expected = prefill(*model, golden_.ids);
  EXPECT_EQ(run({model.get()}, golden_.ids, {1}), expected);
  EXPECT_EQ(run({model.get()}, golden_.ids, {3, 9, 2, 8}), expected);
  EXPECT_EQ(run({model.get()}, golden_.ids, {static_cast<int>(golden_.ids.size()) - 1, 1}),
            expected);
  for (const int threads : {1, 3}) {
    const auto other = load_model({.precision = Precision::kExact, .threads = threads});
    EXPECT_EQ(other->threads(), threads);
    EXPECT_EQ(prefill(*other, golden_.ids), expected);
  }

  // The same prompt between two others.
  const int n = static_cast<int>(golden_.ids.size());
  std::vector<int32_t> tokens(golden_.ids.rbegin(), golden_.ids.rbegin() + 7);
  tokens.insert(tokens.end(), golden_.ids.begin(), golden_.ids.end());
  tokens.insert(tokens.end(), golden_.ids.begin() + 3, golden_.ids.begin() + 8);
  const std::vector<float> together = run_step({model.get()},
                                               {{.slot = 5, .position = 0, .rows = 7},
                                                {.slot = 2, .position = 0, .rows = n},
                                                {.slot = 3, .position = 0, .rows = 5}},
                                               tokens);
  const int64_t vocab = model->spec().vocab;
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), together.begin() + 7 * vocab));
}

std::vector<std::string_view> supported_isas() {
  std::vector<std::string_view> names;
  for (const kernels::Isa& isa : kernels::isas()) {
    if (isa.supported()) names.push_back(isa.name);
  }
  return names;
}

std::string golden_name(
    const testing::TestParamInfo<std::tuple<Reference, std::string_view>>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTest,
                         testing::Combine(testing::ValuesIn(kReferences),
                                          testing::ValuesIn(supported_isas())),
                         golden_name);

std::vector<std::string_view> isas_with_slabs() {
  std::vector<std::string_view> names;
  for (const kernels::Isa* isa : kernels::with_slabs()) names.push_back(isa->name);
  return names;
}

// Products of many rows by a matrix unit, most often emulated.
class SlabGoldenTest : public GoldenTest {
 protected:
  const kernels::SlabEmulation emulation_;
};

class SlabModelTest : public testing::Test {
 protected:
  const kernels::SlabEmulation emulation_;
};

TEST_P(SlabGoldenTest, DefaultPrecisionIsClose) { check_default_precision(); }

// As long as every step has enough rows for the unit.
TEST_F(SlabModelTest, BitsDoNotDependOnTheStep) {
  for (const std::string_view isa : isas_with_slabs()) {
    const auto model = load("models/llama", {.threads = 2}, isa);
    const std::vector<int32_t> tokens = all_rows(75);
    EXPECT_EQ(run({model.get()}, tokens, {33, 10, 32}), prefill(*model, tokens));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SlabGoldenTest,
                         testing::Combine(testing::ValuesIn(kReferences),
                                          testing::ValuesIn(isas_with_slabs())),
                         golden_name);

// The rest does not depend on the instruction set.

constexpr char kModel[] = "models/qwen3";

TEST(RankModel, LongPromptsAreCutWithoutATrace) {
  const auto model = load("models/llama", {.precision = Precision::kExact, .threads = 2});
  std::vector<int32_t> tokens(700);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % 320);
  const std::vector<float> whole = prefill(*model, tokens);
  EXPECT_EQ(run({model.get()}, tokens, {511, 3, 186}), whole);
}

TEST(RankModel, OnlyTheRowsAskedForGetLogits) {
  const auto model = load(kModel, {.precision = Precision::kExact, .threads = 2});
  const std::vector<int32_t> tokens = all_rows(30);
  const std::vector<float> all = prefill(*model, tokens);
  const size_t vocab = model->spec().vocab;
  const std::vector<SequenceRows> sequences = {{.slot = 1, .position = 0, .rows = 30}};
  for (const std::vector<int32_t>& rows :
       std::vector<std::vector<int32_t>>{{}, {29}, {0, 13}, {1, 2, 3, 5, 8, 13, 21, 22, 23, 29}}) {
    std::vector<float> logits(rows.size() * vocab);
    ASSERT_TRUE(model->forward({sequences, tokens, rows}, {}, {}, logits).ok());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_TRUE(std::equal(logits.begin() + i * vocab, logits.begin() + (i + 1) * vocab,
                             all.begin() + rows[i] * vocab));
    }
  }
}

TEST(RankModel, RewindingForgetsTheRest) {
  const auto model = load(kModel, {.threads = 1});
  const std::vector<int32_t> tokens = all_rows(70);
  const std::vector<float> expected = prefill(*model, tokens);
  const size_t vocab = model->spec().vocab;
  std::vector<int32_t> other(40, 300);
  run_step({model.get()}, {{.slot = 0, .position = 30, .rows = 40}}, other);
  const auto again = run_step({model.get()}, {{.slot = 0, .position = 30, .rows = 40}},
                              std::span(tokens).subspan(30));
  EXPECT_TRUE(std::equal(again.begin(), again.end(), expected.begin() + 30 * vocab));
}

// A model most of whose layers are linear: their state has no past to return to.
TEST(RankModel, LinearLayersGoOnOrStartAnew) {
  const auto model = load("models/qwen3_5", {.precision = Precision::kExact, .threads = 2});
  const std::vector<int32_t> tokens = all_rows(40);
  const std::vector<float> whole = prefill(*model, tokens);
  const size_t vocab = model->spec().vocab;
  const std::vector<int32_t> next = {7};
  const std::vector<int32_t> wanted = {0};
  for (const int position : {1, 20, 39, 41}) {
    std::vector<float> logits(vocab);
    const std::vector<SequenceRows> sequences = {{.slot = 0, .position = position, .rows = 1}};
    const auto done = model->forward({sequences, next, wanted}, {}, {}, logits);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code(), Code::kInvalidArgument);
  }
  // As if nothing had been asked; then anew, in the same slot and in one that was given back.
  const auto after = run_step({model.get()}, {{.slot = 0, .position = 40, .rows = 1}}, next);
  EXPECT_EQ(prefill(*model, tokens), whole);
  EXPECT_EQ(run_step({model.get()}, {{.slot = 0, .position = 40, .rows = 1}}, next), after);
  model->release(0);
  EXPECT_EQ(prefill(*model, tokens), whole);
}

TEST(RankModel, LinearLayersCarryAcrossPasses) {
  const auto model = load("models/qwen3_next", {.precision = Precision::kExact, .threads = 2});
  std::vector<int32_t> tokens(700);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % 320);
  const std::vector<float> whole = prefill(*model, tokens);
  EXPECT_EQ(run({model.get()}, tokens, {511, 3, 186}), whole);
}

// Calls forward with a step that must be refused, on a model whose slot 0 holds three tokens, and
// checks that it is as before.
class RefusalTest : public testing::Test {
 protected:
  void refuse(const std::vector<SequenceRows>& sequences, const std::vector<int32_t>& tokens,
              const std::vector<int32_t>& logit_rows, Code code, size_t logits_size) {
    std::vector<float> logits(logits_size);
    const auto done = model_->forward({sequences, tokens, logit_rows}, {}, {}, logits);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code(), code) << done.error().message();
    EXPECT_EQ(next(*model_), expected_);
  }
  static std::vector<float> next(RankModel& model) {
    const std::vector<int32_t> token = {4};
    return run_step({&model}, {{.slot = 0, .position = 3, .rows = 1}}, token);
  }
  void SetUp() override {
    run_step({model_.get()}, {{.slot = 0, .position = 0, .rows = 3}}, start_);
    expected_ = next(*model_);
  }

  const std::vector<int32_t> start_ = {1, 2, 3};
  const std::unique_ptr<RankModel> model_ =
      load(kModel, {.threads = 2, .kv_tokens = 64, .sequences_max = 2});
  const size_t vocab_ = model_->spec().vocab;
  std::vector<float> expected_;
};

TEST_F(RefusalTest, StepsOutOfRangeChangeNothing) {
  const Code bad = Code::kInvalidArgument;
  const SequenceRows fine{.slot = 1, .position = 0, .rows = 1};
  refuse({{.slot = 2, .rows = 1}}, {1}, {0}, bad, vocab_);
  refuse({{.slot = -1, .rows = 1}}, {1}, {0}, bad, vocab_);
  refuse({{.slot = 0, .position = 5, .rows = 1}}, {1}, {0}, bad, vocab_);
  refuse({{.slot = 0, .position = -1, .rows = 1}}, {1}, {0}, bad, vocab_);
  refuse({{.slot = 1, .position = 0, .rows = 0}}, {}, {}, bad, 0);
  refuse({{.slot = 1, .position = 0, .rows = 2147483647}}, {1}, {0}, bad, vocab_);
  refuse({fine, fine}, {1, 1}, {0}, bad, vocab_);
  refuse({}, {}, {}, bad, 0);
  refuse({fine}, {-1}, {0}, bad, vocab_);
  refuse({fine}, {static_cast<int32_t>(vocab_)}, {0}, bad, vocab_);
  refuse({fine}, {1, 2}, {0}, bad, vocab_);
  refuse({fine}, {1}, {1}, bad, vocab_);
  refuse({fine}, {1}, {-1}, bad, vocab_);
  refuse({fine}, {1}, {0, 0}, bad, 2 * vocab_);
  refuse({fine}, {1}, {0}, bad, vocab_ - 1);
}

TEST_F(RefusalTest, AFullCacheRefusesTheWholeStep) {
  EXPECT_EQ(model_->kv_tokens(), 64);
  std::vector<int32_t> tokens(62, 9);
  // Slot 0 still fits its page; slot 1 would need two and there is one.
  refuse({{.slot = 0, .position = 4, .rows = 29}, {.slot = 1, .position = 0, .rows = 33}}, tokens,
         {}, Code::kResourceExhausted, 0);
  model_->release(0);
  tokens.resize(64);
  EXPECT_EQ(run_step({model_.get()}, {{.slot = 1, .position = 0, .rows = 64}}, tokens).size(),
            64 * vocab_);
}

TEST(RankModelLoad, ATiedEmbeddingIsHeldOnce) {
  const auto tied = load("models/qwen2", {.threads = 1});
  ASSERT_TRUE(tied->spec().tied_embedding);
  const auto front = load("models/qwen2", {.shard = {0, 1}, .threads = 1});
  const auto middle = load("models/qwen2", {.shard = {1, 2}, .threads = 1});
  const auto back = load("models/qwen2", {.shard = {2, 3}, .threads = 1});
  const int64_t embedding = front->weights().size() - middle->weights().size();
  EXPECT_EQ(embedding, int64_t{2} * tied->spec().vocab * tied->spec().hidden);
  EXPECT_EQ(back->weights().size(), front->weights().size());
  EXPECT_EQ(tied->weights().size(), 3 * middle->weights().size() + embedding);
}

TEST(RankModelLoad, ReportsProgressLayerByLayer) {
  std::vector<std::pair<int, int>> calls;
  load("models/llama", {.shard = {1, 3}, .threads = 2, .progress = [&](int done, int total) {
                          calls.emplace_back(done, total);
                        }});
  EXPECT_EQ(calls, (std::vector<std::pair<int, int>>{{1, 2}, {2, 2}}));
}

TEST(RankModelLoad, DefaultsFollowTheModelAndTheMachine) {
  const auto model = load("models/llama", {});
  EXPECT_GE(model->threads(), 1);
  EXPECT_EQ(model->kv_tokens(), model->spec().context);
  EXPECT_EQ(model->sequences_max(), 16);
  EXPECT_EQ(model->isa(), supported_isas()[0]);
}

TEST(RankModelLoad, BadOptionsAreErrors) {
  const auto code_of = [](const LoadOptions& options) {
    const auto loaded = load_with(kModel, options);
    return loaded.ok() ? "loaded" : std::string(to_string(loaded.error().code()));
  };
  const std::string invalid(to_string(Code::kInvalidArgument));
  EXPECT_EQ(code_of({.shard = {-1, 2}}), invalid);
  EXPECT_EQ(code_of({.shard = {2, 2}}), invalid);
  EXPECT_EQ(code_of({.shard = {0, 99}}), invalid);
  EXPECT_EQ(code_of({.threads = -1}), invalid);
  EXPECT_EQ(code_of({.kv_tokens = -1}), invalid);
  EXPECT_EQ(code_of({.sequences_max = 0}), invalid);
  // 2^30 tokens of this model's cache are a terabyte.
  EXPECT_EQ(code_of({.kv_tokens = (1 << 30) - 1}),
            std::string(to_string(Code::kResourceExhausted)));
}

TEST(RankModelLoad, AnUnknownInstructionSetIsAnError) {
  const auto loaded = load_with(kModel, {}, "avx1024");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), Code::kInvalidArgument);
  EXPECT_NE(loaded.error().message().find("avx1024"), std::string::npos);
}

}  // namespace
}  // namespace hearth::engine
