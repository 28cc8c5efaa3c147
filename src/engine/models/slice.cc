#include "engine/models/slice.h"

#include <algorithm>
#include <numeric>

#include "engine/kernels/layout.h"

namespace hearth::engine {
namespace {

// Heads whose columns together may be cut off.
int64_t heads_per_unit(int64_t columns, int64_t head_columns) {
  return columns / std::gcd(columns, head_columns);
}

// Feed-forward layers are cut where no block of outputs and no group of inputs needs padding.
int64_t ffn_unit(int64_t columns) { return std::lcm(columns, kernels::kGroup); }

// What query heads [begin, end) read.
Range groups_of(Range heads, int64_t group) {
  if (heads.size() == 0) return {heads.begin / group, heads.begin / group};
  return {heads.begin / group, (heads.end - 1) / group + 1};
}

// The key heads that value heads use: neighbours, though there may be unused ones between them.
Range key_heads_of(const DeltaNetSpec& delta, Range values) {
  if (values.size() == 0) return {};
  const int64_t first = delta.key_head(static_cast<int>(values.begin));
  const int64_t last = delta.key_head(static_cast<int>(values.end - 1));
  const bool around = delta.tiled && (values.size() >= delta.key_heads || first > last);
  return around ? Range{0, delta.key_heads} : Range{first, last + 1};
}

// Without tiles, files hold the value heads of a key head together, and so do ranks.
int64_t value_heads_per_unit(const DeltaNetSpec& delta, int64_t columns) {
  const int64_t heads = heads_per_unit(columns, delta.value_dim);
  return delta.tiled ? heads : std::lcm(heads, int64_t{delta.value_heads / delta.key_heads});
}

}  // namespace

std::vector<Range> Dealer::deal(int64_t total, int64_t unit) {
  if (shares_.size() == 1) return {{0, total}};
  std::vector<int64_t> units(shares_.size());
  for (int64_t left = (total + unit - 1) / unit; left > 0; --left) {
    size_t least = 0;
    const auto load = [&](size_t rank) {
      return static_cast<double>(dealt_[rank] + 1) / shares_[rank];
    };
    for (size_t rank = 1; rank < shares_.size(); ++rank) {
      if (load(rank) < load(least)) least = rank;
    }
    ++dealt_[least];
    ++units[least];
  }
  std::vector<Range> parts;
  int64_t begin = 0;
  for (const int64_t count : units) {
    parts.push_back({std::min(begin * unit, total), std::min((begin + count) * unit, total)});
    begin += count;
  }
  return parts;
}

Slice Slice::whole(const ModelSpec& spec) { return create(spec, {}, {}); }

Slice Slice::create(const ModelSpec& spec, const ColumnUnits& units, const Shard& shard) {
  static constexpr double kAlone[] = {1};
  const std::span<const double> shares =
      shard.shares.empty() ? std::span<const double>(kAlone) : shard.shares;
  const auto own = static_cast<size_t>(shard.slice);
  const auto part = [&](int64_t total, int64_t unit) {
    return Dealer(shares).deal(total, unit)[own];
  };
  Slice slice{.index = shard.slice, .count = shard.slices()};
  slice.heads = part(spec.heads, heads_per_unit(units[Joint::kAttention], spec.value_dim));
  slice.queries_per_key = spec.latent ? spec.heads : spec.heads / spec.kv_heads;
  slice.kv_heads = groups_of(slice.heads, slice.queries_per_key);
  slice.ffn = part(spec.ffn, ffn_unit(units[Joint::kFeedForward]));
  const std::vector<Range> vocabs = Dealer(shares).deal(spec.vocab, kernels::kBlockRows);
  slice.vocab = vocabs[own];
  slice.vocab_cuts = {0};
  for (const Range vocab : vocabs) slice.vocab_cuts.push_back(static_cast<int>(vocab.end));
  if (spec.moe) {
    slice.shared_ffn = part(spec.moe->shared_ffn, ffn_unit(units[Joint::kSharedExperts]));
    Dealer dealer(shares);
    for (int e = 0; e < spec.moe->experts; ++e) {
      slice.experts.push_back(dealer.deal(spec.moe->ffn, ffn_unit(units[Joint::kExperts]))[own]);
    }
  }
  if (spec.delta) {
    slice.value_heads =
        part(spec.delta->value_heads, value_heads_per_unit(*spec.delta, units[Joint::kDeltaNet]));
    slice.key_heads = key_heads_of(*spec.delta, slice.value_heads);
  }
  return slice;
}

Range Slice::queries_of(int kv_head) const {
  const int64_t begin = (kv_heads.begin + kv_head) * queries_per_key - heads.begin;
  return {std::max<int64_t>(begin, 0), std::min(begin + queries_per_key, heads.size())};
}

bool Slice::owns(int kv_head) const {
  return (kv_heads.begin + kv_head) * queries_per_key >= heads.begin;
}

int Slice::expert_width() const {
  int64_t width = 0;
  for (const Range expert : experts) width = std::max(width, expert.size());
  return static_cast<int>(width);
}

ModelSpec spec_of(const Slice& slice, const ModelSpec& spec) {
  const auto count = [](Range range) { return static_cast<int>(range.size()); };
  ModelSpec own = spec;
  own.heads = count(slice.heads);
  own.kv_heads = count(slice.kv_heads);
  own.ffn = count(slice.ffn);
  if (own.moe) {
    own.moe->ffn = slice.expert_width();
    own.moe->shared_ffn = count(slice.shared_ffn);
  }
  if (own.delta) {
    own.delta->key_heads = count(slice.key_heads);
    own.delta->value_heads = count(slice.value_heads);
  }
  return own;
}

}  // namespace hearth::engine
