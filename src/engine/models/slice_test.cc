#include "engine/models/slice.h"

#include <gtest/gtest.h>

#include <random>

namespace hearth::engine {
namespace {

std::vector<int64_t> sizes(const std::vector<double>& shares, int64_t total, int64_t unit) {
  std::vector<int64_t> sizes;
  for (const Range part : Dealer(shares).deal(total, unit)) sizes.push_back(part.size());
  return sizes;
}

TEST(Dealer, MeetsSharesAsWellAsUnitsAllow) {
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(sizes({1}, 7, 1), (Sizes{7}));
  EXPECT_EQ(sizes({2, 1}, 96, 32), (Sizes{64, 32}));
  EXPECT_EQ(sizes({5, 3, 1}, 9, 1), (Sizes{5, 3, 1}));
  EXPECT_EQ(sizes({1, 1}, 100, 32), (Sizes{64, 36})) << "the last unit is what is left";
  EXPECT_EQ(sizes({1, 3}, 32, 32), (Sizes{0, 32})) << "one unit goes to the largest share";
  EXPECT_EQ(sizes({1, 1, 1}, 2, 1), (Sizes{1, 1, 0}));
}

TEST(Dealer, GoesOnWhereItEnded) {
  const std::vector<double> shares = {1, 1};
  Dealer dealer(shares);
  int64_t first = 0;
  for (int i = 0; i < 8; ++i) {
    const auto parts = dealer.deal(3, 1);
    EXPECT_EQ(parts[0].end, parts[1].begin);
    first += parts[0].size();
  }
  EXPECT_EQ(first, 12) << "of 8 times 3 units";
}

std::mt19937& engine() {
  static std::mt19937 instance(5);
  return instance;
}
int64_t any(int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(engine());
}
std::vector<double> any_shares() {
  std::vector<double> shares(any(1, 6));
  for (double& share : shares) share = static_cast<double>(any(1, 9));
  return shares;
}

TEST(Dealer, NoOtherDealGivesTheBusiestLess) {
  for (int round = 0; round < 200; ++round) {
    const std::vector<double> shares = any_shares();
    const int64_t unit = any(1, 40);
    const int64_t total = any(1, 30) * unit;
    const auto parts = Dealer(shares).deal(total, unit);
    int64_t end = 0;
    double busiest = 0;
    for (size_t r = 0; r < parts.size(); ++r) {
      EXPECT_EQ(parts[r].begin, end);
      end = parts[r].end;
      busiest = std::max(busiest, static_cast<double>(parts[r].size()) / shares[r]);
    }
    EXPECT_EQ(end, total);
    // With less for the busiest, all together could not take everything.
    int64_t room = 0;
    for (const double share : shares) {
      const double below = busiest * share / static_cast<double>(unit);
      room += static_cast<int64_t>(std::ceil(below - 1e-9)) - 1;
    }
    EXPECT_LT(room * unit, total);
  }
}

ModelSpec any_spec() {
  ModelSpec spec;
  spec.kv_heads = static_cast<int>(any(1, 4));
  spec.heads = spec.kv_heads * static_cast<int>(any(1, 4));
  spec.head_dim = spec.value_dim = 32;
  spec.ffn = 320;
  spec.vocab = static_cast<int>(any(1, 200));
  spec.moe = MoeSpec{.experts = 5, .used = 2, .ffn = 96, .shared_ffn = 64};
  spec.delta = DeltaNetSpec{.key_heads = static_cast<int>(any(1, 4)),
                            .key_dim = 16,
                            .value_dim = 32,
                            .kernel = 4,
                            .tiled = any(0, 1) == 1};
  spec.delta->value_heads = spec.delta->key_heads * static_cast<int>(any(1, 3));
  return spec;
}

// Of consecutive parts.
void expect_next(Range part, int64_t* end, int64_t unit, int64_t total) {
  EXPECT_EQ(part.begin, *end);
  EXPECT_TRUE(part.begin % unit == 0 || part.begin == total) << part.begin << " by " << unit;
  *end = part.end;
}

TEST(Slice, SlicesOfATeamAreTheModel) {
  for (int round = 0; round < 200; ++round) {
    const ModelSpec spec = any_spec();
    ColumnUnits units;
    for (int64_t& columns : units.columns) columns = int64_t{1} << any(0, 8);
    Shard shard{.shares = any_shares()};
    int64_t heads = 0, ffn = 0, shared = 0, values = 0, vocab = 0;
    std::vector<int64_t> experts(5);
    std::vector<int> owners(spec.kv_heads);
    for (; shard.slice < shard.slices(); ++shard.slice) {
      const Slice slice = Slice::create(spec, units, shard);
      const int64_t head_unit = std::max<int64_t>(1, units[Joint::kAttention] / 32);
      expect_next(slice.heads, &heads, head_unit, spec.heads);
      expect_next(slice.ffn, &ffn, units[Joint::kFeedForward], spec.ffn);
      expect_next(slice.shared_ffn, &shared, units[Joint::kSharedExperts], 64);
      expect_next(slice.value_heads, &values, 1, spec.delta->value_heads);
      expect_next(slice.vocab, &vocab, 16, spec.vocab);
      EXPECT_EQ(slice.vocab_cuts[shard.slice], slice.vocab.begin);
      EXPECT_EQ(slice.vocab_cuts[shard.slice + 1], slice.vocab.end);
      for (int e = 0; e < 5; ++e) {
        expect_next(slice.experts[e], &experts[e], units[Joint::kExperts], 96);
      }
      // Every query finds the KV head that it reads, and every value head its key head.
      int64_t query = 0;
      for (int head = 0; head < slice.kv_heads.size(); ++head) {
        const Range queries = slice.queries_of(head);
        EXPECT_EQ(queries.begin, query);
        EXPECT_GT(queries.size(), 0);
        for (; query < queries.end; ++query) {
          EXPECT_EQ((slice.heads.begin + query) / (spec.heads / spec.kv_heads),
                    slice.kv_heads.begin + head);
        }
        owners[slice.kv_heads.begin + head] += slice.owns(head) ? 1 : 0;
      }
      EXPECT_EQ(query, slice.heads.size());
      for (int64_t v = slice.value_heads.begin; v < slice.value_heads.end; ++v) {
        EXPECT_GE(spec.delta->key_head(static_cast<int>(v)), slice.key_heads.begin);
        EXPECT_LT(spec.delta->key_head(static_cast<int>(v)), slice.key_heads.end);
      }
    }
    EXPECT_EQ(heads, spec.heads);
    EXPECT_EQ(ffn, spec.ffn);
    EXPECT_EQ(shared, 64);
    EXPECT_EQ(values, spec.delta->value_heads);
    EXPECT_EQ(vocab, spec.vocab);
    EXPECT_EQ(experts, std::vector<int64_t>(5, 96));
    EXPECT_EQ(owners, std::vector<int>(spec.kv_heads, 1)) << "each KV head has one owner";
  }
}

}  // namespace
}  // namespace hearth::engine
