#include "engine/tensor/packed_matrix.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/tensor/buffer.h"
#include "engine/tensor/decode.h"
#include "engine/tensor/test_tensors.h"

namespace hearth::engine {
namespace {

std::mt19937& engine() {
  static std::mt19937 instance(7);
  return instance;
}

// Packs `view`, in two calls, and compares each row with the decoded tensor's.
void expect_rows_come_back(const TensorView& view) {
  std::vector<float> expected(view.rows * view.columns);
  decode_tensor(view, expected.data());
  PackedMatrix matrix(view);
  auto buffer = Buffer::allocate(matrix.bytes());
  ASSERT_TRUE(buffer.ok());
  matrix.data = buffer->data();
  pack_blocks(view, matrix, 0, 1);
  pack_blocks(view, matrix, 1, matrix.blocks());
  std::vector<float> row(view.columns);
  for (int64_t r = 0; r < view.rows; ++r) {
    unpack_row(matrix, r, row.data());
    for (int64_t k = 0; k < view.columns; ++k) {
      ASSERT_EQ(row[k], expected[r * view.columns + k]) << "row " << r << ", column " << k;
    }
  }
}

TEST(PackedMatrix, EveryRowComesBackExactly) {
  for (const TensorKind& kind : all_tensor_kinds()) {
    for (const int64_t rows : {1, 15, 16, 17, 40}) {
      for (const int64_t columns : {1, 31, 32, 33, 96, 512, 768, 1312}) {
        if (columns % block_elements(kind.encoding) != 0) continue;
        SCOPED_TRACE(testing::Message() << kind.name() << ": " << rows << " x " << columns);
        const TestTensor tensor(kind, rows, columns, engine());
        ASSERT_TRUE(!has_group_scales(kind.encoding) || check_groups(tensor.view, "t").ok());
        expect_rows_come_back(tensor.view);
      }
    }
  }
}

TEST(PackedMatrix, SelectedRowsAreThoseOfTheTensor) {
  for (const TensorKind& kind : all_tensor_kinds()) {
    SCOPED_TRACE(kind.name());
    const TestTensor tensor(kind, 40, 256, engine());
    std::vector<float> all(40 * 256);
    decode_tensor(tensor.view, all.data());
    const TensorView odd = tensor.view.select(1, 20, 2).select(2, 17);  // rows 5, 7 .. 37
    std::vector<float> row(256);
    for (int r = 0; r < 17; ++r) {
      decode_row(odd, r, row.data());
      for (int k = 0; k < 256; ++k) ASSERT_EQ(row[k], all[(5 + 2 * r) * 256 + k]);
    }
    expect_rows_come_back(odd);
    // Runs of three, at every eighth row: 2, 3, 4, 10, 11, 12 .. 34, 35, 36.
    const TensorView runs = tensor.view.select(2, 15, 8, 3);
    for (int r = 0; r < 15; ++r) {
      decode_row(runs, r, row.data());
      for (int k = 0; k < 256; ++k) ASSERT_EQ(row[k], all[(2 + r / 3 * 8 + r % 3) * 256 + k]);
    }
    expect_rows_come_back(runs);
  }
}

TEST(PackedMatrix, SelectedColumnsAreThoseOfTheTensor) {
  constexpr int64_t kColumns = 1536;
  for (const TensorKind& kind : all_tensor_kinds()) {
    SCOPED_TRACE(kind.name());
    const TestTensor tensor(kind, 40, kColumns, engine());
    std::vector<float> all(40 * kColumns);
    decode_tensor(tensor.view, all.data());
    const int64_t unit = column_unit(tensor.view);
    ASSERT_EQ(kColumns % unit, 0);
    for (const int64_t units : {int64_t{1}, int64_t{2}, kColumns / unit - 1}) {
      // Every second row from the third on, as a stack of matrices has them.
      const TensorView some =
          tensor.view.select_columns(unit, units * unit).select(3, 18, 2).select(0, 17);
      std::vector<float> row(some.columns);
      for (int r = 0; r < 17; ++r) {
        decode_row(some, r, row.data());
        for (int64_t k = 0; k < some.columns; ++k) {
          ASSERT_EQ(row[k], all[(3 + 2 * r) * kColumns + unit + k]) << r << ", " << k;
        }
      }
      expect_rows_come_back(some);
      EXPECT_EQ(stored_bytes(some), stored_bytes(tensor.view) * 17 * some.columns / 40 / kColumns);
    }
  }
}

// Of matrices that fill their last block.
TEST(PackedMatrix, NeedsHardlyMoreMemoryThanTheFile) {
  for (const TensorKind& kind : all_tensor_kinds()) {
    SCOPED_TRACE(kind.name());
    const TestTensor tensor(kind, 256, 1536, engine());
    const GroupScales& groups = tensor.view.groups;
    const size_t file = tensor.view.bytes.size() + groups.scales.size() + groups.biases.size() +
                        groups.zeros.size();
    // FP8's scales, of a square each in the file, are of a row each in a block.
    const bool shared = kind.group_rows > 1 && kind.group_columns < 128;
    EXPECT_LE(PackedMatrix(tensor.view).bytes(), (shared ? 1.1 : 1.05) * file);
    EXPECT_EQ(PackedMatrix(tensor.view).quantised(), kind.quantised());
  }
}

}  // namespace
}  // namespace hearth::engine
