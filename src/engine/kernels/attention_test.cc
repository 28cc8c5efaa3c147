// Attention of every instruction set against the scalar reference: every type of numbers, odd
// sizes, scattered pages with garbage where nothing may be read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "engine/kernels/test_kernels.h"

namespace hearth::engine::kernels {
namespace {

constexpr const char* kTypeNames[kKvTypes] = {"F32", "Q16", "BF16", "Q8"};

// A sequence's keys and values in scattered pages; all else is NaN, or bytes that mean it.
struct Cache {
  Cache(int type, const KvHead& head, int tokens)
      : head(head), page_bytes(kv_head_bytes(kKvFormats[type], head)) {
    const int pages = (tokens + kPageTokens - 1) / kPageTokens;
    memory.assign(page_bytes * (pages + 1) / sizeof(float), NAN);
    for (int i = 0; i < pages; ++i) table.push_back(pages - i);
  }
  void put(int type, int t, const float* key, const float* value) {
    reference().attention->store[type](
        {.page = page(t), .token = t % kPageTokens, .head = head, .key = key, .value = value});
  }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(memory.data()); }
  std::byte* page(int t) { return bytes() + table[t / kPageTokens] * page_bytes; }

  KvHead head;
  int64_t page_bytes;
  std::vector<float> memory;
  std::vector<int32_t> table;
};

// One query and what it sees.
struct Query {
  std::vector<float> vector;
  int start = 0;
  int length = 0;
  float sink = 0;
};

// What queries over one cache take and give.
struct Call {
  Call(Cache& cache, const std::vector<Query>& queries, bool with_sinks)
      : out(queries.size() * cache.head.value_dim, NAN),
        table(cache.table),
        scratch(attention_scratch_floats(cache.head), NAN) {
    for (size_t i = 0; i < queries.size(); ++i) {
      query_rows.push_back(queries[i].vector.data());
      out_rows.push_back(&out[i * cache.head.value_dim]);
      starts.push_back(queries[i].start);
      lengths.push_back(queries[i].length);
      sinks.push_back(queries[i].sink);
    }
    const int earliest = *std::min_element(starts.begin(), starts.end());
    std::fill_n(table.begin(), earliest / kPageTokens, 1 << 30);  // not to be read
    args = {.queries = query_rows.data(),
            .outputs = out_rows.data(),
            .starts = starts.data(),
            .lengths = lengths.data(),
            .sinks = with_sinks ? sinks.data() : nullptr,
            .count = static_cast<int>(queries.size()),
            .head = cache.head,
            .scale = 1 / std::sqrt(static_cast<float>(cache.head.key_dim)),
            .pool = cache.bytes(),
            .table = table.data(),
            .page_bytes = cache.page_bytes,
            .scratch = scratch.data()};
  }
  std::vector<float> out;
  std::vector<int32_t> table;
  std::vector<float> scratch;
  std::vector<const float*> query_rows;
  std::vector<float*> out_rows;
  std::vector<int> starts;
  std::vector<int> lengths;
  std::vector<float> sinks;
  AttentionArgs args;
};

class AttentionTest : public testing::TestWithParam<std::tuple<const Isa*, int>> {
 protected:
  const AttentionKernels& kernels() const { return *std::get<0>(GetParam())->kernels->attention; }
  int type() const { return std::get<1>(GetParam()); }
  const KvFormat& format() const { return kKvFormats[type()]; }
  // Integers are multiplied with queries and weights that are rounded to 15 bits.
  float tolerance() const { return format().largest == 0 ? 1e-5f : 2e-4f; }

  std::vector<float> random(int64_t n, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(n);
    for (float& value : values) value = normal(engine_);
    return values;
  }
  Cache random_cache(const KvHead& head, int tokens) {
    Cache cache(type(), head, tokens);
    for (int t = 0; t < tokens; ++t) {
      cache.put(type(), t, random(head.key_dim, 0.5f + 0.2f * static_cast<float>(t % 3)).data(),
                random(head.value_dim, 0.2f * static_cast<float>(1 + t % 5)).data());
    }
    return cache;
  }
  std::vector<Query> random_queries(const KvHead& head, int tokens, int window, int count) {
    std::vector<Query> queries;
    for (int i = 0; i < count; ++i) {
      const int length = std::max(1, tokens - (i * 13) % tokens);
      queries.push_back(
          {random(head.key_dim, 2), std::max(0, length - window), length, random(1)[0]});
    }
    return queries;
  }
  std::vector<float> attend(Cache& cache, const std::vector<Query>& queries, bool sinks) {
    Call call(cache, queries, sinks);
    kernels().attend[type()](call.args);
    return call.out;
  }
  std::vector<float> expected(Cache& cache, const std::vector<Query>& queries, bool sinks) {
    Call call(cache, queries, sinks);
    reference().attention->attend[type()](call.args);
    return call.out;
  }
  // Queries in company and alone, over whole prefixes and over windows of them.
  void check(const KvHead& head, int tokens, int count) {
    SCOPED_TRACE(testing::Message() << head.key_dim << " " << tokens << " " << count);
    Cache cache = random_cache(head, tokens);
    for (const int window : {tokens, 1, 20, 40}) {
      const std::vector<Query> queries = random_queries(head, tokens, window, count);
      const bool sinks = count % 2 == 0;
      const std::vector<float> out = attend(cache, queries, sinks);
      expect_near(out, expected(cache, queries, sinks), tolerance());
      for (int i = 0; i < count; i += 1 + count / 8) {
        const std::vector<float> alone = attend(cache, {queries[i]}, sinks);
        ASSERT_TRUE(std::equal(alone.begin(), alone.end(), out.begin() + i * head.value_dim));
      }
    }
  }

  std::mt19937 engine_{1};
};

TEST_P(AttentionTest, IsThatOfTheReferenceInAnyCompany) {
  for (const KvHead& head : {KvHead{2, 2}, KvHead{6, 6}, KvHead{16, 40}, KvHead{64, 64},
                             KvHead{72, 56}, KvHead{24, 16, true}, KvHead{40, 23, true}}) {
    for (const int tokens : {1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 100, 129, 150}) {
      for (const int count : {1, 2, 3, 5, 8, 11}) check(head, tokens, count);
    }
  }
}

TEST_P(AttentionTest, FillsTiles) {
  for (const int count : {kTileQueries - 1, kTileQueries}) check({32, 48}, 300, count);
}

TEST_P(AttentionTest, SpansAddUpToTheWhole) {
  const KvHead head{16, 24};
  const int tokens = 2 * kSpanTokens + 70;
  Cache cache = random_cache(head, tokens);
  for (const int window : {tokens, kSpanTokens}) {
    const std::vector<Query> queries = random_queries(head, tokens, window, 5);
    for (const bool sinks : {false, true}) {
      const std::vector<float> whole = attend(cache, queries, sinks);
      expect_near(whole, expected(cache, queries, sinks), tolerance());
      const int64_t record = kv_record_floats(head);
      const int spans = (tokens + kSpanTokens - 1) / kSpanTokens;
      std::vector<float> records(spans * queries.size() * record, NAN);
      Call call(cache, queries, sinks);
      call.args.outputs = nullptr;
      const int first = *std::min_element(call.starts.begin(), call.starts.end()) / kSpanTokens;
      for (int s = first; s < spans; ++s) {
        call.args.span_begin = s * kSpanTokens;
        call.args.span_records = &records[s * queries.size() * record];
        kernels().attend[type()](call.args);
      }
      for (size_t i = 0; i < queries.size(); ++i) {
        kernels().add_spans({.records = &records[(first * queries.size() + i) * record],
                             .stride = static_cast<int64_t>(queries.size()) * record,
                             .spans = spans - first,
                             .sink = sinks ? &call.sinks[i] : nullptr,
                             .head = head,
                             .scratch = call.scratch.data(),
                             .out = call.out_rows[i]});
      }
      EXPECT_EQ(call.out, whole);
    }
  }
}

// Integers at their largest: keys as long as they may be and queries along them, then weights that
// all count the same and values that all have one sign.
TEST_P(AttentionTest, SumsDoNotOverflow) {
  for (const KvHead& head : {KvHead{128, 128}, KvHead{576, 512, true}, KvHead{1024, 1024}}) {
    constexpr int kTokens = 200;
    Cache cache(type(), head, kTokens);
    std::vector<float> key(head.key_dim, 1);
    for (const bool one_dimension : {false, true}) {
      if (one_dimension) std::fill(key.begin() + 1, key.end(), 0.0f);
      const std::vector<float> value(head.value_dim, head.shared ? NAN : 1);
      for (int t = 0; t < kTokens; ++t) cache.put(type(), t, key.data(), value.data());
      const std::vector<float> out = attend(cache, {{key, 0, kTokens, 0}}, false);
      for (int d = 0; d < head.value_dim; ++d) {
        ASSERT_NEAR(out[d], head.shared ? key[d] : 1, tolerance()) << head.key_dim << " " << d;
      }
    }
    // One token alone counts.
    std::vector<float> other(head.key_dim);
    std::fill(key.begin(), key.end(), 1.0f);
    for (int t = 1; t < kTokens; ++t) cache.put(type(), t, other.data(), other.data());
    cache.put(type(), 0, key.data(), key.data());
    std::vector<float> query(head.key_dim, 20);
    const std::vector<float> out = attend(cache, {{query, 0, kTokens, 0}}, false);
    for (int d = 0; d < head.value_dim; ++d) ASSERT_NEAR(out[d], 1, tolerance());
  }
}

TEST_P(AttentionTest, StoresWhatTheReferenceStores) {
  for (const KvHead& head :
       {KvHead{2, 1}, KvHead{34, 17}, KvHead{128, 100}, KvHead{40, 23, true}}) {
    Cache cache(type(), head, 2 * kPageTokens);
    Cache wanted = cache;
    for (int t = 0; t < 2 * kPageTokens; ++t) {
      std::vector<float> key = random(head.key_dim, 1000);
      if (t % 2 == 0) key[1] = 1e5f;  // stands out
      const std::vector<float> value = random(head.value_dim, t == 5 ? 0 : 1);
      wanted.put(type(), t, key.data(), value.data());
      kernels().store[type()]({.page = cache.page(t),
                               .token = t % kPageTokens,
                               .head = head,
                               .key = key.data(),
                               .value = value.data()});
    }
    // Integers may differ by one where their scales differ in the last bit.
    const int64_t scales = kv_scales_at(format(), head);
    for (int64_t at = 0; at < cache.page_bytes; ++at) {
      if (format().largest == 0) {
        ASSERT_EQ(cache.page(0)[at], wanted.page(0)[at]) << at;
      } else if (at >= scales && at % 4 == 0) {
        float scale[2];
        std::memcpy(&scale[0], cache.page(0) + at, sizeof(float));
        std::memcpy(&scale[1], wanted.page(0) + at, sizeof(float));
        ASSERT_NEAR(scale[0], scale[1], 1e-6f * scale[1]) << at;
      } else if (at < scales && at % format().bytes == 0) {
        int16_t number[2] = {};
        std::memcpy(&number[0], cache.page(0) + at, format().bytes);
        std::memcpy(&number[1], wanted.page(0) + at, format().bytes);
        const int difference = number[0] - number[1];
        ASSERT_LE(std::abs(static_cast<int8_t>(difference)), 1) << at;
      }
    }
  }
}

std::string name_of(const testing::TestParamInfo<std::tuple<const Isa*, int>>& info) {
  return std::string(std::get<0>(info.param)->name) + kTypeNames[std::get<1>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Isas, AttentionTest,
                         testing::Combine(testing::ValuesIn(faster_than_scalar()),
                                          testing::Range(0, kKvTypes)),
                         name_of);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(AttentionTest);

}  // namespace
}  // namespace hearth::engine::kernels
