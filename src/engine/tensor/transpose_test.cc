#include "engine/tensor/transpose.h"

#include <gtest/gtest.h>

#include "engine/tensor/buffer.h"
#include "engine/tensor/decode.h"
#include "engine/tensor/test_tensors.h"

namespace hearth::engine {
namespace {

// Packs some of the view's columns, in two calls, and compares each with the decoded tensor's.
void expect_columns_become_rows(const TensorView& view, const Choice& outputs) {
  std::vector<float> numbers(view.rows * view.columns);
  decode_tensor(view, numbers.data());
  PackedMatrix matrix = transposed_geometry(view, outputs);
  auto buffer = Buffer::allocate(matrix.bytes());
  ASSERT_TRUE(buffer.ok());
  matrix.data = buffer->data();
  const int64_t some = view.rows / 2;
  pack_transposed(view, outputs, matrix, 0, some);
  pack_transposed(view, outputs, matrix, some, view.rows);
  ASSERT_EQ(matrix.rows, outputs.count);
  ASSERT_EQ(matrix.columns, view.rows);
  std::vector<float> row(view.rows);
  for (int64_t r = 0; r < outputs.count; ++r) {
    unpack_row(matrix, r, row.data());
    const int64_t column = outputs.first + r * outputs.step;
    for (int64_t k = 0; k < view.rows; ++k) {
      ASSERT_EQ(row[k], numbers[k * view.columns + column]) << "row " << r << ", column " << k;
    }
  }
}

TEST(Transpose, ColumnsBecomeRowsExactly) {
  std::mt19937 engine(3);
  for (const Encoding encoding : {Encoding::kF32, Encoding::kF16, Encoding::kBF16}) {
    for (const int64_t rows : {1, 33, 70}) {
      SCOPED_TRACE(testing::Message() << to_string(encoding) << ": " << rows);
      const TestTensor tensor({.encoding = encoding}, rows, 256, engine);
      expect_columns_become_rows(tensor.view, {.count = 256});
      expect_columns_become_rows(tensor.view, {.first = 1, .count = 100, .step = 2});
      expect_columns_become_rows(tensor.view, {.first = 7, .count = 17});
    }
  }
}

TEST(Transpose, FloatsTakeNoMoreMemoryThanInTheFile) {
  for (const Encoding encoding : {Encoding::kF32, Encoding::kF16, Encoding::kBF16}) {
    std::mt19937 engine(3);
    const TestTensor tensor({.encoding = encoding}, 64, 256, engine);
    const PackedMatrix matrix = transposed_geometry(tensor.view, {.count = 256});
    EXPECT_EQ(matrix.encoding, encoding);
    EXPECT_EQ(matrix.bytes(), static_cast<int64_t>(tensor.view.bytes.size()));
  }
}

}  // namespace
}  // namespace hearth::engine
