#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "engine/sampling/random.h"

namespace hearth::engine {
namespace {

constexpr int kDraws = 4000;

// How often each token comes out over kDraws consecutive draws of one seed.
std::map<int32_t, int> histogram(const std::vector<float>& logits, const SamplingParams& params) {
  std::map<int32_t, int> counts;
  std::vector<int32_t> generated;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> copy = logits;
    const int32_t id = sample(copy, params, {}, generated);
    ++counts[id];
    generated.push_back(0);  // numbers the draw; no penalty looks at it
  }
  return counts;
}

std::set<int32_t> support(const std::vector<float>& logits, const SamplingParams& params) {
  std::set<int32_t> ids;
  for (const auto& [id, count] : histogram(logits, params)) ids.insert(id);
  return ids;
}

std::vector<float> log_probabilities(std::vector<float> probabilities) {
  for (float& p : probabilities) p = std::log(p);
  return probabilities;
}

// The known answers of the authors' Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Sample, GreedyTakesTheMostLikelyAndTheLowestIdOnTies) {
  std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(sample(logits, {.temperature = 0}, {}, {}), 1);
}

TEST(Sample, GreedyLooksAtEveryTokenOfALargeVocabulary) {
  constexpr int kVocab = 1013;
  for (int best = 0; best < kVocab; ++best) {
    std::vector<float> logits(kVocab);
    for (int i = 0; i < kVocab; ++i) logits[i] = static_cast<float>(i % 7) - 20;
    logits[best] = -1;
    logits[(best + kVocab) / 2] = -1;  // as likely, but later
    ASSERT_EQ(sample(logits, {.temperature = 0}, {}, {}), best);
  }
}

TEST(Sample, DrawsFromTheModelsDistribution) {
  const std::vector<float> p = {0.5f, 0.25f, 0.125f, 0.125f};
  const auto counts = histogram(log_probabilities(p), {.seed = 11});
  for (int id = 0; id < 4; ++id) {
    // Four standard deviations.
    EXPECT_NEAR(counts.at(id), kDraws * p[id], 4 * std::sqrt(kDraws * p[id] * (1 - p[id])));
  }
}

TEST(Sample, TemperatureSharpens) {
  const std::vector<float> logits = log_probabilities({0.6f, 0.4f});
  // Squared: 0.36 to 0.16.
  const auto counts = histogram(logits, {.temperature = 0.5f, .seed = 3});
  EXPECT_NEAR(counts.at(0), kDraws * 0.36 / 0.52, 120);
  EXPECT_EQ(support(logits, {.temperature = 1e-30f}), std::set<int32_t>{0});
}

TEST(Sample, TopKTopPAndMinPKeepWhatTheySay) {
  const std::vector<float> logits = log_probabilities({0.05f, 0.4f, 0.1f, 0.3f, 0.15f});
  EXPECT_EQ(support(logits, {.top_k = 2}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(support(logits, {.top_k = 1}), (std::set<int32_t>{1}));
  EXPECT_EQ(support(logits, {.top_p = 0.69f}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(support(logits, {.top_p = 0.72f}), (std::set<int32_t>{1, 3, 4}));
  EXPECT_EQ(support(logits, {.top_p = 0.0f}), (std::set<int32_t>{1}));
  EXPECT_EQ(support(logits, {.min_p = 0.5f}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(support(logits, {.min_p = 1.5f}), (std::set<int32_t>{1}));
  // top-p counts within top-k: 0.4 of 0.7 is more than half.
  EXPECT_EQ(support(logits, {.top_k = 2, .top_p = 0.5f}), (std::set<int32_t>{1}));
  // Ties at the edge of top-k: the lower ids stay.
  EXPECT_EQ(support({1, 2, 1, 1}, {.top_k = 3}), (std::set<int32_t>{0, 1, 2}));
}

TEST(Sample, TopPAgreesWithAFullSortOnALargeVocabulary) {
  std::mt19937 engine(5);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(30000);
  for (float& logit : logits) logit = normal(engine);
  std::vector<std::pair<double, int32_t>> sorted;
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    sorted.emplace_back(-std::exp(logits[i]), i);
    total -= sorted.back().first;
  }
  std::sort(sorted.begin(), sorted.end());
  for (const float top_p : {0.1f, 0.5f, 0.9f}) {
    std::set<int32_t> kept;
    double sum = 0;
    for (const auto& [negative, id] : sorted) {
      if (sum >= top_p * total) break;
      kept.insert(id);
      sum -= negative;
    }
    std::vector<int32_t> generated;
    for (int i = 0; i < 300; ++i, generated.push_back(0)) {
      std::vector<float> copy = logits;
      EXPECT_TRUE(kept.contains(sample(copy, {.top_p = top_p, .seed = 1}, {}, generated)));
    }
  }
}

TEST(Sample, PenaltiesChangeTheLogitsAsDocumented) {
  std::vector<float> logits = {2, -2, 2, 2};
  const std::vector<int32_t> prompt = {0, 1, 0, -5, 99};  // ids outside the vocabulary are ignored
  const std::vector<int32_t> generated = {2, 2, 2, 99};
  sample(logits,
         {.temperature = 0,
          .repetition_penalty = 2,
          .presence_penalty = 0.25f,
          .frequency_penalty = 0.125f},
         prompt, generated);
  EXPECT_EQ(logits, (std::vector<float>{1, -4, 1 - 0.25f - 3 * 0.125f, 2}));
}

TEST(Sample, SameArgumentsSameTokenAndSeedsDiffer) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 37 % 1000) / 100;
  const std::vector<int32_t> generated = {1, 2, 3};
  std::set<int32_t> drawn;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<float> a = logits;
    std::vector<float> b = logits;
    const int32_t id = sample(a, {.seed = seed}, {}, generated);
    EXPECT_EQ(id, sample(b, {.seed = seed}, {}, generated));
    drawn.insert(id);
  }
  EXPECT_GT(drawn.size(), 10u);
  // Fixed for all machines and versions: a conversation can be replayed anywhere.
  std::vector<float> c = logits;
  EXPECT_EQ(
      sample(c, {.temperature = 0.8f, .top_k = 50, .top_p = 0.95f, .seed = 42}, {}, generated),
      864);  // worked out in Python, too
}

TEST(Sample, BrokenLogitsGiveAValidToken) {
  const float kNan = NAN;
  const float kInf = INFINITY;
  const std::vector<SamplingParams> kinds = {
      {.temperature = 0},
      {},
      {.top_k = 2},
      {.top_p = 0.5f},
      {.min_p = 0.5f},
      {.temperature = kNan},
      {.temperature = -1},
      {.top_k = -3, .top_p = -1.0f},
      {.repetition_penalty = 0, .presence_penalty = kNan, .frequency_penalty = kInf}};
  for (const SamplingParams& params : kinds) {
    for (const std::vector<float>& broken : std::vector<std::vector<float>>{
             {kNan, kNan, kNan}, {-kInf, -kInf, -kInf}, {kNan, 1, -kInf}, {kInf, kInf, kNan}}) {
      std::vector<float> logits = broken;
      const int32_t id = sample(logits, params, std::vector<int32_t>{0}, std::vector<int32_t>{1});
      EXPECT_GE(id, 0);
      EXPECT_LT(id, 3);
    }
    std::vector<float> logits = {kNan, 1, -kInf};
    EXPECT_EQ(sample(logits, params, {}, {}), 1);
  }
}

// The draw from the candidates of consecutive parts of the vocabulary, cut at random.
int32_t sample_parts(const std::vector<float>& logits, const SamplingParams& params,
                     std::span<const int32_t> prompt, std::span<const int32_t> generated,
                     std::mt19937& engine) {
  const auto vocab = static_cast<int>(logits.size());
  std::vector<int> cuts = {0, vocab};
  for (int i = 0; i < 3; ++i) cuts.push_back(static_cast<int>(engine() % (vocab + 1)));
  std::sort(cuts.begin(), cuts.end());
  std::vector<Candidate> candidates;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    std::vector<float> part(logits.begin() + cuts[i], logits.begin() + cuts[i + 1]);
    add_candidates(part, cuts[i], vocab, params, prompt, generated, &candidates);
  }
  return sample_candidates(candidates, params, vocab, generated.size());
}

TEST(SampleCandidates, DrawsWhatAllLogitsWouldGive) {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal(0, 3);
  const auto any = [&](std::initializer_list<float> values) {
    return *(values.begin() + engine() % values.size());
  };
  int few = 0;
  for (int round = 0; round < 4000; ++round) {
    std::vector<float> logits(1 + engine() % 300);
    // Whole numbers are often equal.
    for (float& logit : logits) logit = round % 2 ? normal(engine) : std::round(normal(engine));
    if (round % 50 == 0) std::fill(logits.begin(), logits.end(), -INFINITY);
    const SamplingParams params{.temperature = any({0, 0.5f, 1, 1.5f}),
                                .top_k = static_cast<int>(any({0, 1, 5, 40, 299, 1000})),
                                .top_p = any({1, 1, 0.9f, 0.5f}),
                                .min_p = any({0, 0.05f, 0.3f}),
                                .repetition_penalty = any({1, 1.3f}),
                                .presence_penalty = any({0, 0.5f}),
                                .frequency_penalty = any({0, 0.7f}),
                                .seed = engine()};
    if (!has_few_candidates(params, static_cast<int>(logits.size()))) continue;
    ++few;
    std::vector<int32_t> prompt(engine() % 20);
    std::vector<int32_t> generated(engine() % 20);
    for (int32_t& id : prompt) id = static_cast<int32_t>(engine() % logits.size());
    for (int32_t& id : generated) id = static_cast<int32_t>(engine() % logits.size());
    const int32_t drawn = sample_parts(logits, params, prompt, generated, engine);
    EXPECT_EQ(drawn, sample(logits, params, prompt, generated)) << "round " << round;
  }
  EXPECT_GT(few, 2000);
}

TEST(SampleCandidates, AreFewWhereTheyCanBe) {
  constexpr int kVocab = 1000;
  EXPECT_TRUE(has_few_candidates({.temperature = 0, .top_p = 0.9f}, kVocab));
  EXPECT_TRUE(has_few_candidates({.top_k = 40, .top_p = 0.9f}, kVocab));
  EXPECT_TRUE(has_few_candidates({.min_p = 0.1f}, kVocab));
  EXPECT_FALSE(has_few_candidates({}, kVocab));
  EXPECT_FALSE(has_few_candidates({.top_p = 0.9f, .min_p = 0.1f}, kVocab));
  EXPECT_FALSE(has_few_candidates({.top_k = kVocab}, kVocab));
  std::vector<float> logits(kVocab);
  for (int i = 0; i < kVocab; ++i) logits[i] = static_cast<float>(i % 37);
  const auto count = [&](const SamplingParams& params) {
    std::vector<Candidate> candidates;
    std::vector<float> copy = logits;
    add_candidates(copy, 0, kVocab, params, {}, {}, &candidates);
    return candidates.size();
  };
  EXPECT_EQ(count({.temperature = 0}), 1u);
  EXPECT_EQ(count({.top_k = 40}), 40u);
  EXPECT_EQ(count({.min_p = 0.5f}), 27u) << "those of the largest logit";
}

}  // namespace
}  // namespace hearth::engine
