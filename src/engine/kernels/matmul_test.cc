// Products with packed weights: every encoding, on every instruction set that this machine
// supports, against sums of decoded weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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
constexpr int64_t kColumns[] = {32, 37, 768};
#else
constexpr int kRowCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 70};
constexpr int64_t kOutputs[] = {1, 15, 16, 17, 50};
constexpr int64_t kColumns[] = {5, 32, 37, 96, 256, 768, 1312};
#endif

// A packed random matrix.
struct Weights {
  Weights(const TensorKind& tensor_kind, int64_t rows, int64_t columns, std::mt19937& engine)
      : kind(tensor_kind),
        tensor(kind, rows, columns, engine),
        matrix(tensor.view),
        buffer(Buffer::allocate(matrix.bytes()).value()) {
    matrix.data = buffer.data();
    pack();
  }
  void pack() { pack_blocks(tensor.view, matrix, 0, matrix.blocks()); }
  TensorKind kind;
  TestTensor tensor;
  PackedMatrix matrix;
  Buffer buffer;
};

// The forms of activations that there are products for.
enum class Form { kFloats, kQuantised, kSlabs };

// rows [m, columns] times the weights, by the product of that encoding for that form of
// activations.
std::vector<float> product(const Isa& isa, Form form, const Weights& weights,
                           const std::vector<float>& rows, int m, bool add = false,
                           int panel_rows = kPanelRowsDefault) {
  const Kernels& kernels = *isa.kernels;
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
  Buffer slabs = Buffer::allocate(slabs_bytes(m, columns)).value();
  if (form == Form::kSlabs) {
    for (int r = 0; r < m; ++r) {
      isa.slabs->fill(&rows[r * columns], columns, r, m, slabs.data());
    }
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
                  .slabs = slabs.data(),
                  .out = out.data(),
                  .out_stride = weights.matrix.rows,
                  .out_columns = weights.matrix.rows,
                  .add = add,
                  .panel_rows = panel_rows,
                  .panel = panel.data()};
  const int encoding = static_cast<int>(weights.matrix.encoding);
  const auto matmul = form == Form::kFloats      ? kernels.matmul[encoding]
                      : form == Form::kQuantised ? kernels.matmul_q[encoding]
                                                 : isa.slabs->matmul[encoding];
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

// rows [m, matrix.rows] times the transposed weights.
std::vector<float> transposed_product(const Isa& isa, const Weights& weights,
                                      const std::vector<float>& rows, int m) {
  const PackedMatrix& matrix = weights.matrix;
  const Buffer panel = Buffer::allocate(transposed_panel_floats(matrix.rows, matrix.columns) *
                                        int64_t{sizeof(float)})
                           .value();
  Misaligned out(std::vector<float>(m * matrix.columns, NAN), 1);
  isa.kernels->matmul_transposed[static_cast<int>(matrix.encoding)](
      {.weights = matrix.data,
       .block_bytes = matrix.block_bytes(),
       .groups = matrix.groups,
       .inputs = matrix.rows,
       .outputs = matrix.columns,
       .rows = m,
       .x = rows.data(),
       .x_stride = matrix.rows,
       .out = out.data(),
       .out_stride = matrix.columns,
       .panel = reinterpret_cast<float*>(panel.data())});
  EXPECT_TRUE(out.guards_intact());
  return out.values();
}

// Compares with sums of decoded weights. The tolerance is relative to what the sums would be if
// nothing cancelled.
void expect_close_to_decoded(const std::vector<float>& actual, const Weights& weights,
                             const std::vector<float>& rows, int m, double tolerance,
                             bool transposed = false) {
  int64_t n = weights.matrix.rows;
  int64_t k = weights.matrix.columns;
  std::vector<float> decoded(n * k);
  decode_tensor(weights.tensor.view, decoded.data());
  if (transposed) {
    const std::vector<float> as_stored = decoded;
    for (int64_t i = 0; i < n * k; ++i) decoded[i % k * n + i / k] = as_stored[i];
    std::swap(n, k);
  }
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
// Float sums; 15 bits of the largest activation of 32; 2^-18 of each activation, and as much again
// where weights come in two parts.
double tolerance(Form form) {
  return form == Form::kFloats ? 4e-6 : form == Form::kQuantised ? 4e-5 : 8e-6;
}

class MatmulTest : public KernelsTest {
 protected:
  void check(Form form, const TensorKind& kind, int64_t n, int64_t k) {
    const Weights weights(kind, n, k, engine_);
    for (const int m : kRowCounts) {
      check_rows(form, weights, m);
    }
  }
  void check_rows(Form form, const Weights& weights, int m) {
    const int64_t n = weights.matrix.rows;
    const int64_t k = weights.matrix.columns;
    SCOPED_TRACE(testing::Message()
                 << weights.kind.name() << ": " << m << " x " << n << " x " << k);
    const std::vector<float> rows = random(m * k);
    const std::vector<float> actual = product(*GetParam(), form, weights, rows, m);
    expect_close_to_decoded(actual, weights, rows, m, tolerance(form));
    const std::vector<float> added = product(*GetParam(), form, weights, rows, m, true);
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_EQ(added[i], 100.0f + actual[i]);
    // Panels, where they would not be the choice, give the same bits.
    if (form == Form::kQuantised) {
      ASSERT_EQ(product(*GetParam(), form, weights, rows, m, false, /*panel_rows=*/1), actual);
    }
    // Each row alone gives the same bits as among the others.
    for (int r = 0; r < m; ++r) {
      const std::vector<float> row(rows.begin() + r * k, rows.begin() + (r + 1) * k);
      const std::vector<float> alone = product(*GetParam(), form, weights, row, 1);
      ASSERT_TRUE(std::equal(alone.begin(), alone.end(), actual.begin() + r * n)) << "row " << r;
    }
  }
  void check_transposed(const TensorKind& kind, int64_t inputs, int64_t outputs) {
    const Weights weights(kind, inputs, outputs, engine_);
    for (const int m : {1, 3, 70}) {
      SCOPED_TRACE(testing::Message()
                   << kind.name() << ": " << m << " x " << inputs << " x " << outputs);
      const std::vector<float> rows = random(m * inputs);
      const std::vector<float> actual = transposed_product(*GetParam(), weights, rows, m);
      expect_close_to_decoded(actual, weights, rows, m, tolerance(Form::kFloats), true);
      const std::vector<float> last(rows.end() - inputs, rows.end());
      const std::vector<float> alone = transposed_product(*GetParam(), weights, last, 1);
      ASSERT_TRUE(std::equal(alone.begin(), alone.end(), actual.end() - outputs));
    }
  }
  void check_all_shapes(Form form) {
    for (const TensorKind& kind : all_tensor_kinds()) {
      if (form == Form::kQuantised && !kind.quantised()) continue;
      for (const int64_t n : kOutputs) {
        for (const int64_t k : kColumns) {
          if (k % block_elements(kind.encoding) == 0) check(form, kind, n, k);
        }
      }
    }
  }
  void check_extremes(Form form) {
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
        const std::vector<float> actual = product(*GetParam(), form, weights, row, 1);
        expect_close_to_decoded(actual, weights, row, 1, 1e-6);
      }
    }
  }
};

TEST_P(MatmulTest, FloatActivations) { check_all_shapes(Form::kFloats); }
TEST_P(MatmulTest, QuantisedActivations) { check_all_shapes(Form::kQuantised); }

TEST_P(MatmulTest, TransposedWeights) {
  for (const TensorKind& kind : all_tensor_kinds()) {
    for (const int64_t inputs : {7, 16, 17, 50}) {
      for (const int64_t outputs : kColumns) {
        if (outputs % block_elements(kind.encoding) == 0) check_transposed(kind, inputs, outputs);
      }
    }
  }
}

// The extremes of the integers, where saturating instructions would clip.
TEST_P(MatmulTest, NothingSaturates) { check_extremes(Form::kQuantised); }

TEST(ScalarMatmul, IsTheSumOfDecodedWeights) {
  std::mt19937 engine(3);
  std::normal_distribution<float> normal;
  for (const TensorKind& kind : all_tensor_kinds()) {
    SCOPED_TRACE(kind.name());
    const Weights weights(kind, 17, 256, engine);
    std::vector<float> rows(9 * 256);
    for (float& x : rows) x = normal(engine);
    for (const Form form : {Form::kFloats, Form::kQuantised}) {
      if (form == Form::kQuantised && !kind.quantised()) continue;
      expect_close_to_decoded(product(isas().back(), form, weights, rows, 9), weights, rows, 9,
                              tolerance(form));
    }
    const std::vector<float> inputs(rows.begin(), rows.begin() + 9 * 17);
    expect_close_to_decoded(transposed_product(isas().back(), weights, inputs, 9), weights, inputs,
                            9, tolerance(Form::kFloats), true);
  }
}

// Products of many rows, most often emulated: fewer shapes.
class SlabTest : public MatmulTest {
 protected:
  bool has(const TensorKind& kind) const {
    return GetParam()->slabs->matmul[static_cast<int>(kind.encoding)] != nullptr;
  }
  const SlabEmulation emulation_;
};

TEST_P(SlabTest, EveryEncodingButFloat32) {
  for (const TensorKind& kind : all_tensor_kinds()) {
    EXPECT_EQ(has(kind), kind.encoding != Encoding::kF32) << kind.name();
  }
}

// One row and many, of one slab and of several, in one chunk and in several; an odd number of
// groups and an even one; one block and more than are unpacked together.
TEST_P(SlabTest, Products) {
  for (const TensorKind& kind : all_tensor_kinds()) {
    if (!has(kind)) continue;
    for (const auto& [m, n, k] : std::vector<std::array<int, 3>>{
             {1, 1, 256}, {9, 17, 256}, {40, 100, 256}, {16, 16, 37}, {19, 40, 96}, {300, 16, 5}}) {
      if (k % block_elements(kind.encoding) == 0) {
        check_rows(Form::kSlabs, Weights(kind, n, k, engine_), m);
      }
    }
  }
}

// Where codes and scales at their extremes would not fit a bfloat16.
TEST_P(SlabTest, NothingIsRounded) { check_extremes(Form::kSlabs); }

INSTANTIATE_TEST_SUITE_P(Isas, SlabTest, testing::ValuesIn(with_slabs()), isa_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SlabTest);

INSTANTIATE_TEST_SUITE_P(Isas, MatmulTest, testing::ValuesIn(faster_than_scalar()), isa_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MatmulTest);

}  // namespace
}  // namespace hearth::engine::kernels
