// Every instruction set that this machine supports against the scalar reference, over odd lengths
// and misaligned arrays.
#include "engine/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/kernels/numbers.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/packed_matrix.h"

namespace hearth::engine::kernels {
namespace {

const Kernels& reference() { return *isas().back().kernels; }

class KernelsTest : public testing::TestWithParam<const Isa*> {
 protected:
  const Kernels& kernels() const { return *GetParam()->kernels; }

  std::vector<float> random(int64_t n, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(n);
    for (float& value : values) value = normal(engine_);
    return values;
  }
  std::mt19937 engine_{1};
};

std::vector<const Isa*> faster_than_scalar() {
  std::vector<const Isa*> list;
  for (const Isa& isa : isas()) {
    if (isa.supported() && isa.kernels != isas().back().kernels) list.push_back(&isa);
  }
  return list;
}

// Copies of `values` that start `misalign` floats past an aligned address, with guards around.
class Misaligned {
 public:
  Misaligned(const std::vector<float>& values, int misalign)
      : size_(values.size()), offset_(16 + misalign), memory_(size_ + 64, kGuard) {
    std::copy(values.begin(), values.end(), memory_.begin() + offset_);
  }
  float* data() { return memory_.data() + offset_; }
  std::vector<float> values() const {
    return {memory_.begin() + offset_, memory_.begin() + offset_ + size_};
  }
  bool guards_intact() const {
    for (size_t i = 0; i < memory_.size(); ++i) {
      if ((i < offset_ || i >= offset_ + size_) && memory_[i] != kGuard) return false;
    }
    return true;
  }

 private:
  static constexpr float kGuard = 12345.0f;
  size_t size_;
  size_t offset_;
  std::vector<float> memory_;
};

void for_each_length_and_misalignment(const std::function<void(int, int)>& check) {
  for (int n = 1; n <= 50; ++n) {
    for (int misalign = 0; misalign < 3; ++misalign) check(n, misalign);
  }
  check(1000, 1);
}

void expect_near(const std::vector<float>& actual, const std::vector<float>& expected,
                 float tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + std::fabs(expected[i]))) << "at " << i;
  }
}

TEST_P(KernelsTest, RmsNorm) {
  for_each_length_and_misalignment([&](int n, int misalign) {
    Misaligned x(random(n), misalign);
    Misaligned weight(random(n), (misalign + 1) % 3);
    Misaligned out(std::vector<float>(n), (misalign + 2) % 3);
    std::vector<float> expected(n);
    reference().rms_norm(x.data(), weight.data(), n, 1e-5f, expected.data());
    kernels().rms_norm(x.data(), weight.data(), n, 1e-5f, out.data());
    expect_near(out.values(), expected, 1e-5f);
    EXPECT_TRUE(out.guards_intact());
    kernels().rms_norm(x.data(), weight.data(), n, 1e-5f, x.data());
    EXPECT_EQ(x.values(), out.values());
  });
}

TEST_P(KernelsTest, Rope) {
  for_each_length_and_misalignment([&](int half, int misalign) {
    const std::vector<float> angles = random(half);
    std::vector<float> cosines(half);
    std::vector<float> sines(half);
    std::transform(angles.begin(), angles.end(), cosines.begin(), [](float a) { return cosf(a); });
    std::transform(angles.begin(), angles.end(), sines.begin(), [](float a) { return sinf(a); });
    for (const auto rope : {&Kernels::rope_half, &Kernels::rope_interleaved}) {
      Misaligned x(random(2 * half), misalign);
      std::vector<float> expected = x.values();
      (reference().*rope)(expected.data(), cosines.data(), sines.data(), 2 * half);
      (kernels().*rope)(x.data(), cosines.data(), sines.data(), 2 * half);
      expect_near(x.values(), expected, 1e-6f);
      EXPECT_TRUE(x.guards_intact());
    }
  });
}

TEST_P(KernelsTest, GatedActivations) {
  for (const auto gated : {&Kernels::silu_mul, &Kernels::gelu_mul, &Kernels::swiglu_oss}) {
    for_each_length_and_misalignment([&](int n, int misalign) {
      std::vector<float> values = random(n, 8);
      values[0] = -200;  // e^200 overflows
      values[n / 2] = 200;
      Misaligned gate(values, misalign);
      Misaligned up(random(n, 5), (misalign + 1) % 3);
      std::vector<float> expected = gate.values();
      (reference().*gated)(expected.data(), up.data(), n);
      (kernels().*gated)(gate.data(), up.data(), n);
      expect_near(gate.values(), expected, 2e-6f);
      EXPECT_TRUE(gate.guards_intact());
    });
  }
}

TEST_P(KernelsTest, Add) {
  for_each_length_and_misalignment([&](int n, int misalign) {
    Misaligned x(random(n), misalign);
    Misaligned y(random(n), (misalign + 1) % 3);
    std::vector<float> expected = x.values();
    reference().add(expected.data(), y.data(), n);
    kernels().add(x.data(), y.data(), n);
    EXPECT_EQ(x.values(), expected);
    EXPECT_TRUE(x.guards_intact());
  });
}

TEST_P(KernelsTest, DeltaRule) {
  for (const int key_dim : {1, 5, 16, 32}) {
    for_each_length_and_misalignment([&](int value_dim, int misalign) {
      std::vector<float> expected_state = random(key_dim * value_dim);
      std::vector<float> expected(value_dim);
      Misaligned state(expected_state, misalign);
      Misaligned out(random(value_dim), (misalign + 1) % 3);
      for (int token = 0; token < 3; ++token) {
        const std::vector<float> query = random(key_dim);
        const std::vector<float> key = random(key_dim, 0.5f);
        const std::vector<float> value = random(value_dim);
        DeltaRuleArgs args{.state = state.data(),
                           .key_dim = key_dim,
                           .value_dim = value_dim,
                           .query = query.data(),
                           .key = key.data(),
                           .value = value.data(),
                           .decay = 0.8f,
                           .beta = 0.3f,
                           .out = out.data()};
        kernels().delta_rule(args);
        args.state = expected_state.data();
        args.out = expected.data();
        reference().delta_rule(args);
        expect_near(out.values(), expected, 1e-5f);
        expect_near(state.values(), expected_state, 1e-5f);
      }
      EXPECT_TRUE(state.guards_intact());
      EXPECT_TRUE(out.guards_intact());
    });
  }
}

// A quantised tile with room beyond its end.
struct QuantTile {
  QuantTile(int m, int64_t columns)
      : bytes(m * round_up(columns, kGroup) / 4 * kQuadBytes),
        scales(m * round_up(columns, kGroup) / kGroup),
        sums(2 * scales.size()) {}
  std::vector<std::byte> bytes;
  std::vector<float> scales;
  std::vector<int32_t> sums;
};

// The integers of a tile are in each instruction set's own form: what they are, the products show.
TEST_P(KernelsTest, Tiles) {
  for (int m = 1; m <= kTileRows; ++m) {
    for (const int64_t columns : {1, 7, 31, 32, 33, 64, 100, 256}) {
      SCOPED_TRACE(testing::Message() << m << " x " << columns);
      const int64_t padded = round_up(columns, kGroup);
      Misaligned rows(random(m * columns), m % 3);
      std::vector<float> expected(m * padded, -1);
      std::vector<float> tile(m * padded, -2);
      reference().tile_f32(rows.data(), m, columns, expected.data());
      kernels().tile_f32(rows.data(), m, columns, tile.data());
      EXPECT_EQ(tile, expected);

      QuantTile expected_q(m, columns);
      QuantTile tile_q(m, columns);
      reference().tile_q(rows.data(), m, columns, expected_q.bytes.data(), expected_q.scales.data(),
                         expected_q.sums.data());
      kernels().tile_q(rows.data(), m, columns, tile_q.bytes.data(), tile_q.scales.data(),
                       tile_q.sums.data());
      EXPECT_EQ(tile_q.scales, expected_q.scales);
      EXPECT_EQ(tile_q.sums, expected_q.sums);
    }
  }
}

TEST_P(KernelsTest, QuantisingExtremesNeitherCrashesNorLosesZeros) {
  for (const Kernels* k : {&kernels(), &reference()}) {
    std::vector<float> row(96, 0);
    row[32] = 1e-38f;
    row[64] = 3e38f;
    row[80] = -3e38f;
    QuantTile tile(1, 96);
    k->tile_q(row.data(), 1, 96, tile.bytes.data(), tile.scales.data(), tile.sums.data());
    EXPECT_EQ(tile.scales[0], 0);
    EXPECT_EQ(tile.scales[1], 0);
    EXPECT_EQ(tile.sums, (std::vector<int32_t>{0, 0, 0, 0, kQuantMax, -kQuantMax}));
    row[3] = NAN;
    row[40] = INFINITY;
    k->tile_q(row.data(), 1, 96, tile.bytes.data(), tile.scales.data(), tile.sums.data());
  }
}

// A packed random matrix.
struct Weights {
  Weights(Encoding encoding, int64_t rows, int64_t columns, std::mt19937& engine)
      : file(rows * columns / block_elements(encoding) * block_bytes(encoding)),
        view{encoding, rows, columns, file},
        matrix(view) {
    const int unit = encoding == Encoding::kF32 ? 4 : block_bytes(encoding);
    const int exponent = encoding == Encoding::kF32 ? 3 : encoding == Encoding::kQ6_K ? 209 : 1;
    for (size_t i = 0; i < file.size(); i += unit) {
      for (int j = 0; j < unit; ++j) file[i + j] = static_cast<std::byte>(engine());
      // Exponents near 1: for floats and for the blocks' scales.
      std::byte& high = file[i + exponent];
      const bool half = encoding != Encoding::kF32 && encoding != Encoding::kBF16;
      high = (high & std::byte{0x83}) | (half ? std::byte{0x34} : std::byte{0x3c});
    }
    auto allocated = Buffer::allocate(matrix.bytes());
    buffer = std::move(allocated).value();
    matrix.data = buffer.data();
    pack_blocks(view, matrix, 0, matrix.blocks());
  }
  std::vector<std::byte> file;
  TensorView view;
  PackedMatrix matrix;
  Buffer buffer;
};

// rows [m, columns] times the weights, by the product of that encoding for float or quantised
// activations.
std::vector<float> product(const Kernels& kernels, bool quantised, const Weights& weights,
                           const std::vector<float>& rows, int m, bool add = false) {
  const int64_t columns = weights.matrix.columns;
  const int64_t padded = weights.matrix.padded_columns();
  std::vector<float> x(m * padded);
  QuantTile xq(m, columns);
  for (int r = 0; r < m; r += kTileRows) {
    const int n = std::min(kTileRows, m - r);
    kernels.tile_f32(&rows[r * columns], n, columns, &x[r * padded]);
    kernels.tile_q(&rows[r * columns], n, columns, &xq.bytes[r * padded / 4 * kQuadBytes],
                   &xq.scales[r * padded / kGroup], &xq.sums[r * padded / kHalfGroup]);
  }
  Misaligned out(std::vector<float>(m * weights.matrix.rows, add ? 100.0f : NAN), 1);
  MatmulArgs args{.weights = weights.matrix.data,
                  .block_bytes = weights.matrix.block_bytes(),
                  .columns = padded,
                  .rows = m,
                  .x = x.data(),
                  .xq = xq.bytes.data(),
                  .xq_scales = xq.scales.data(),
                  .xq_sums = xq.sums.data(),
                  .out = out.data(),
                  .out_stride = weights.matrix.rows,
                  .out_columns = weights.matrix.rows,
                  .add = add};
  const int encoding = static_cast<int>(weights.matrix.encoding);
  const auto matmul = quantised ? kernels.matmul_q[encoding] : kernels.matmul[encoding];
  // In two ranges, as two threads would.
  const int64_t middle = (weights.matrix.blocks() + 1) / 2;
  args.block_end = middle;
  matmul(args);
  args.block_begin = middle;
  args.block_end = weights.matrix.blocks();
  matmul(args);
  EXPECT_TRUE(out.guards_intact());
  return out.values();
}

void expect_close_to(const std::vector<float>& actual, const std::vector<float>& expected,
                     float tolerance) {
  // Scaled to the largest sum: cancellation makes a bound relative to each meaningless.
  float largest = 0;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + largest)) << "at " << i;
  }
}

class MatmulTest : public KernelsTest {
 protected:
  void check(bool quantised, Encoding encoding, int64_t n, int64_t k) {
    SCOPED_TRACE(testing::Message() << to_string(encoding) << " " << n << " x " << k);
    const Weights weights(encoding, n, k, engine_);
    for (const int m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 70}) {
      SCOPED_TRACE(m);
      const std::vector<float> rows = random(m * k);
      const std::vector<float> actual = product(kernels(), quantised, weights, rows, m);
      expect_close_to(actual, product(reference(), quantised, weights, rows, m), 2e-5f);
      // 15 bits of the largest activation of 32 are close to floats.
      if (quantised) expect_close_to(actual, product(kernels(), false, weights, rows, m), 5e-4f);
      const std::vector<float> added = product(kernels(), quantised, weights, rows, m, true);
      for (size_t i = 0; i < actual.size(); ++i) ASSERT_EQ(added[i], 100.0f + actual[i]);
      // Each row alone gives the same bits as among the others.
      for (int r = 0; r < m; ++r) {
        const std::vector<float> row(rows.begin() + r * k, rows.begin() + (r + 1) * k);
        const std::vector<float> alone = product(kernels(), quantised, weights, row, 1);
        ASSERT_TRUE(std::equal(alone.begin(), alone.end(), actual.begin() + r * n)) << "row " << r;
      }
    }
  }
  void check_all_shapes(bool quantised) {
    for (const Encoding encoding : {Encoding::kF32, Encoding::kF16, Encoding::kBF16,
                                    Encoding::kQ8_0, Encoding::kQ4_0, Encoding::kQ6_K}) {
      if (quantised && block_elements(encoding) == 1) continue;
      for (const int64_t n : {1, 15, 16, 17, 50}) {
        for (const int64_t k : {5, 32, 37, 96, 256, 512}) {
          if (k % block_elements(encoding) == 0) check(quantised, encoding, n, k);
        }
      }
    }
  }
};

TEST_P(MatmulTest, FloatActivations) { check_all_shapes(false); }
TEST_P(MatmulTest, QuantisedActivations) { check_all_shapes(true); }

// The extremes of the integers, where saturating instructions would clip.
TEST_P(MatmulTest, NothingSaturates) {
  for (const Encoding encoding : {Encoding::kQ8_0, Encoding::kQ4_0, Encoding::kQ6_K}) {
    for (const int fill : {0x00, 0x7f, 0x80, 0xff}) {
      const int unit = block_bytes(encoding);
      const int factor = encoding == Encoding::kQ6_K ? 208 : 0;  // 1.0 in half precision
      Weights weights(encoding, 16, 256, engine_);
      for (size_t i = 0; i < weights.file.size(); ++i) {
        const int at = static_cast<int>(i % unit);
        const int byte = at == factor ? 0 : at == factor + 1 ? 0x3c : fill;
        weights.file[i] = static_cast<std::byte>(byte);
      }
      pack_blocks(weights.view, weights.matrix, 0, 1);
      std::vector<float> row(256, kQuantMax);
      std::fill(row.begin() + 32, row.begin() + 64, -kQuantMax);
      row[3] = -kQuantMax;
      expect_close_to(product(kernels(), true, weights, row, 1),
                      product(reference(), false, weights, row, 1), 1e-6f);
    }
  }
}

// A cache of `tokens` tokens in scattered pages, filled with random numbers; what no query may see
// is NaN.
template <class T>
struct Pages {
  Pages(int tokens, int key_dim, int values_dim, std::mt19937& engine)
      : value_dim(values_dim),
        page_numbers(int64_t{kPageTokens} * (key_dim + round_up(value_dim, 16))) {
    const int pages = (tokens + kPageTokens - 1) / kPageTokens;
    memory.assign(page_numbers * (pages + 1), number(NAN));
    for (int i = 0; i < pages; ++i) table.push_back(pages - i);
    std::normal_distribution<float> normal;
    const int64_t width = round_up(value_dim, 16);
    for (int t = 0; t < tokens; ++t) {
      T* page = &memory[table[t / kPageTokens] * page_numbers];
      T* values = page + int64_t{kPageTokens} * key_dim;
      const int at = t % kPageTokens;
      for (int d = 0; d < key_dim; ++d) {
        const int64_t half = at / 16 * key_dim;
        const int64_t key = sizeof(T) == 4 ? (half + d) * 16 + at % 16
                                           : (half / 2 + d / 2) * 32 + at % 16 * 2 + d % 2;
        page[key] = number(normal(engine));
      }
      for (int64_t d = 0; d < width; ++d) {
        if (sizeof(T) == 4) {
          values[at * width + d] = number(normal(engine));
        } else {
          values[at / 2 * width * 2 + d * 2 + at % 2] = number(normal(engine));
        }
      }
    }
  }
  static T number(float value) {
    if constexpr (sizeof(T) == 4) {
      return value;
    } else {
      return to_bf16(value);
    }
  }
  int value_dim;
  int64_t page_numbers;
  std::vector<T> memory;
  std::vector<int32_t> table;
};

// One query and what it sees.
struct Query {
  std::vector<float> vector;
  int start = 0;
  int length = 0;
  float sink = 0;
};

template <class T>
std::vector<float> attend(void (*attention)(const AttentionArgs&), const Pages<T>& pages,
                          const std::vector<Query>& queries, bool sinks) {
  const int key_dim = static_cast<int>(queries[0].vector.size());
  std::vector<float> out(queries.size() * pages.value_dim, NAN);
  std::vector<const float*> query_rows;
  std::vector<float*> out_rows;
  std::vector<int> starts;
  std::vector<int> lengths;
  std::vector<float> sink_logits;
  std::vector<int32_t> table = pages.table;
  for (size_t i = 0; i < queries.size(); ++i) {
    query_rows.push_back(queries[i].vector.data());
    out_rows.push_back(&out[i * pages.value_dim]);
    starts.push_back(queries[i].start);
    lengths.push_back(queries[i].length);
    sink_logits.push_back(queries[i].sink);
  }
  const int earliest = *std::min_element(starts.begin(), starts.end());
  std::fill_n(table.begin(), earliest / kPageTokens, 1 << 30);  // not to be read
  attention({.queries = query_rows.data(),
             .outputs = out_rows.data(),
             .starts = starts.data(),
             .lengths = lengths.data(),
             .sinks = sinks ? sink_logits.data() : nullptr,
             .count = static_cast<int>(lengths.size()),
             .key_dim = key_dim,
             .value_dim = pages.value_dim,
             .scale = 1 / std::sqrt(static_cast<float>(key_dim)),
             .pool = reinterpret_cast<const std::byte*>(pages.memory.data()),
             .table = table.data(),
             .page_bytes = pages.page_numbers * static_cast<int64_t>(sizeof(T))});
  return out;
}

class AttentionTest : public KernelsTest {
 protected:
  template <class T>
  void check(void (*fast)(const AttentionArgs&), void (*slow)(const AttentionArgs&)) {
    struct Dims {
      int key;
      int value;
    };
    for (const Dims dims : {Dims{2, 2}, Dims{6, 6}, Dims{16, 40}, Dims{64, 64}, Dims{72, 56}}) {
      for (const int tokens : {1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 100}) {
        for (int count = 1; count <= kTileRows; ++count) {
          SCOPED_TRACE(testing::Message() << dims.key << " " << tokens << " " << count);
          check_tile<T>(fast, slow, Pages<T>(tokens, dims.key, dims.value, engine_), dims.key,
                        tokens, count);
        }
      }
    }
  }

 private:
  // Queries over whole prefixes, then over windows of them; with sinks and without.
  template <class T>
  void check_tile(void (*fast)(const AttentionArgs&), void (*slow)(const AttentionArgs&),
                  const Pages<T>& pages, int key_dim, int tokens, int count) {
    for (const int window : {tokens, 1, 20, 40}) {
      std::vector<Query> queries;
      for (int i = 0; i < count; ++i) {
        const int length = std::max(1, tokens - (i * 13) % tokens);
        queries.push_back({random(key_dim, 2), std::max(0, length - window), length, random(1)[0]});
      }
      const bool sinks = count % 2 == 0;
      const std::vector<float> out = attend(fast, pages, queries, sinks);
      expect_near(out, attend(slow, pages, queries, sinks), 1e-5f);
      for (int i = 0; i < count; ++i) {
        const std::vector<float> alone = attend(fast, pages, {queries[i]}, sinks);
        ASSERT_TRUE(std::equal(alone.begin(), alone.end(), out.begin() + i * pages.value_dim));
      }
    }
  }
};

TEST_P(AttentionTest, Float) { check<float>(kernels().attention_f32, reference().attention_f32); }
TEST_P(AttentionTest, BFloat16) {
  check<uint16_t>(kernels().attention_bf16, reference().attention_bf16);
}

const auto kName = [](const auto& info) { return std::string(info.param->name); };
INSTANTIATE_TEST_SUITE_P(Isas, KernelsTest, testing::ValuesIn(faster_than_scalar()), kName);
INSTANTIATE_TEST_SUITE_P(Isas, MatmulTest, testing::ValuesIn(faster_than_scalar()), kName);
INSTANTIATE_TEST_SUITE_P(Isas, AttentionTest, testing::ValuesIn(faster_than_scalar()), kName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(KernelsTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MatmulTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(AttentionTest);

TEST(Numbers, HalfAndBfloat16) {
  EXPECT_EQ(from_f16(0x3c00), 1.0f);
  EXPECT_EQ(from_f16(0xc000), -2.0f);
  EXPECT_EQ(from_f16(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(from_f16(0x7bff), 65504.0f);
  EXPECT_EQ(from_f16(0xfc00), -INFINITY);
  EXPECT_TRUE(std::isnan(from_f16(0x7e00)));
  EXPECT_EQ(to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(to_bf16(float_of(0x3f808000)), 0x3f80);  // tie to even
  EXPECT_EQ(to_bf16(float_of(0x3f818000)), 0x3f82);
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(float_of(0x7f800001)))));
}

}  // namespace
}  // namespace hearth::engine::kernels
