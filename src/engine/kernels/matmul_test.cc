// Products with packed weights: every encoding, on every instruction set that this machine
// supports, against sums of decoded weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/test_kernels.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/decode.h"
#include "engine/tensor/packed_matrix.h"
#include "engine/tensor/test_tensors.h"

namespace hearth::engine::kernels {
namespace {

// Rows of activations, outputs and columns that are tried; fewer on an emulated processor.
#ifdef HEARTH_EMULATED
constexpr int kRowCounts[] = {1, 2, 3, 8, 19};
constexpr int64_t kOutputs[] = {17, 50};
constexpr int64_t kColumns[] = {32, 37, 512};
#else
constexpr int kRowCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 70};
constexpr int64_t kOutputs[] = {1, 15, 16, 17, 50};
constexpr int64_t kColumns[] = {5, 32, 37, 96, 256, 512};
#endif

// A packed random matrix.
struct Weights {
  Weights(const TensorKind& kind, int64_t rows, int64_t columns, std::mt19937& engine)
      : tensor(kind, rows, columns, engine),
        matrix(tensor.view),
        buffer(Buffer::allocate(matrix.bytes()).value()) {
    matrix.data = buffer.data();
    pack();
  }
  void pack() { pack_blocks(tensor.view, matrix, 0, matrix.blocks()); }
  TestTensor tensor;
  PackedMatrix matrix;
  Buffer buffer;
};

// rows [m, columns] times the weights, by the product of that encoding for float or quantised
// activations.
std::vector<float> product(const Kernels& kernels, bool quantised, const Weights& weights,
                           const std::vector<float>& rows, int m, bool add = false,
                           int panel_rows = kPanelRowsDefault) {
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
  const Buffer panel = Buffer::allocate(panel_bytes(padded)).value();
  Misaligned out(std::vector<float>(m * weights.matrix.rows, add ? 100.0f : NAN), 1);
  MatmulArgs args{.weights = weights.matrix.data,
                  .block_bytes = weights.matrix.block_bytes(),
                  .groups = weights.matrix.groups,
                  .columns = padded,
                  .rows = m,
                  .x = x.data(),
                  .xq = xq.bytes.data(),
                  .xq_scales = xq.scales.data(),
                  .xq_sums = xq.sums.data(),
                  .out = out.data(),
                  .out_stride = weights.matrix.rows,
                  .out_columns = weights.matrix.rows,
                  .add = add,
                  .panel_rows = panel_rows,
                  .panel = panel.data()};
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

// Compares with sums of decoded weights. The tolerance is relative to what the sums would be if
// nothing cancelled.
void expect_close_to_decoded(const std::vector<float>& actual, const Weights& weights,
                             const std::vector<float>& rows, int m, double tolerance) {
  const int64_t n = weights.matrix.rows;
  const int64_t k = weights.matrix.columns;
  std::vector<float> decoded(n * k);
  decode_tensor(weights.tensor.view, decoded.data());
  for (int r = 0; r < m; ++r) {
    const float* x = &rows[r * k];
    const float x_max =
        *std::max_element(x, x + k, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      double magnitude = 0;
      for (int64_t j = 0; j < k; ++j) {
        sum += double{decoded[i * k + j]} * x[j];
        magnitude += std::fabs(double{decoded[i * k + j]} * x_max);
      }
      ASSERT_NEAR(actual[r * n + i], sum, tolerance * magnitude) << "row " << r << ", output " << i;
    }
  }
}
// Float sums; 15 bits of the largest activation of 32.
double tolerance(bool quantised) { return quantised ? 4e-5 : 4e-6; }

class MatmulTest : public KernelsTest {
 protected:
  void check(bool quantised, const TensorKind& kind, int64_t n, int64_t k) {
    SCOPED_TRACE(testing::Message() << kind.name() << ": " << n << " x " << k);
    const Weights weights(kind, n, k, engine_);
    for (const int m : kRowCounts) {
      SCOPED_TRACE(m);
      const std::vector<float> rows = random(m * k);
      const std::vector<float> actual = product(kernels(), quantised, weights, rows, m);
      expect_close_to_decoded(actual, weights, rows, m, tolerance(quantised));
      const std::vector<float> added = product(kernels(), quantised, weights, rows, m, true);
      for (size_t i = 0; i < actual.size(); ++i) ASSERT_EQ(added[i], 100.0f + actual[i]);
      // Panels, where they would not be the choice, give the same bits.
      const std::vector<float> by_panels =
          product(kernels(), quantised, weights, rows, m, false, /*panel_rows=*/1);
      ASSERT_EQ(by_panels, actual);
      // Each row alone gives the same bits as among the others.
      for (int r = 0; r < m; ++r) {
        const std::vector<float> row(rows.begin() + r * k, rows.begin() + (r + 1) * k);
        const std::vector<float> alone = product(kernels(), quantised, weights, row, 1);
        ASSERT_TRUE(std::equal(alone.begin(), alone.end(), actual.begin() + r * n)) << "row " << r;
      }
    }
  }
  void check_all_shapes(bool quantised) {
    for (const TensorKind& kind : all_tensor_kinds()) {
      if (quantised && !kind.quantised()) continue;
      for (const int64_t n : kOutputs) {
        for (const int64_t k : kColumns) {
          if (k % block_elements(kind.encoding) == 0) check(quantised, kind, n, k);
        }
      }
    }
  }
};

TEST_P(MatmulTest, FloatActivations) { check_all_shapes(false); }
TEST_P(MatmulTest, QuantisedActivations) { check_all_shapes(true); }

// The extremes of the integers, where saturating instructions would clip.
TEST_P(MatmulTest, NothingSaturates) {
  for (const TensorKind& kind : all_tensor_kinds()) {
    if (!kind.quantised()) continue;
    SCOPED_TRACE(kind.name());
    for (const int fill : {0x00, 0x7f, 0x80, 0xff}) {
      Weights weights(kind, 16, 256, engine_);
      weights.tensor.set_all(fill);
      weights.pack();
      std::vector<float> row(256, kQuantMax);
      std::fill(row.begin() + 32, row.begin() + 64, -kQuantMax);
      row[3] = -kQuantMax;
      expect_close_to_decoded(product(kernels(), true, weights, row, 1), weights, row, 1, 1e-6);
    }
  }
}

TEST(ScalarMatmul, IsTheSumOfDecodedWeights) {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal;
  for (const TensorKind& kind : all_tensor_kinds()) {
    SCOPED_TRACE(kind.name());
    const Weights weights(kind, 17, 256, engine);
    std::vector<float> rows(9 * 256);
    for (float& x : rows) x = normal(engine);
    for (const bool quantised : {false, true}) {
      if (quantised && !kind.quantised()) continue;
      expect_close_to_decoded(product(reference(), quantised, weights, rows, 9), weights, rows, 9,
                              tolerance(quantised));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MatmulTest, testing::ValuesIn(faster_than_scalar()), isa_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MatmulTest);

}  // namespace
}  // namespace hearth::engine::kernels
