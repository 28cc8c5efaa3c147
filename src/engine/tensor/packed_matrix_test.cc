#include "engine/tensor/packed_matrix.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/tensor/buffer.h"
#include "engine/tensor/decode.h"

namespace hearth::engine {
namespace {

// Random bytes are valid blocks of any encoding; infinities and NaNs of 16-bit floats are avoided
// by clearing an exponent bit.
std::vector<std::byte> random_tensor(Encoding encoding, int64_t rows, int64_t columns) {
  std::vector<std::byte> bytes(rows * columns / block_elements(encoding) * block_bytes(encoding));
  std::mt19937 random(7);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  const int step = encoding == Encoding::kF32 ? 4 : block_bytes(encoding);
  // The byte with the exponent's high bits.
  const int last = encoding == Encoding::kF32 ? 3 : encoding == Encoding::kQ6_K ? 209 : 1;
  for (size_t i = last; i < bytes.size(); i += step) bytes[i] &= std::byte{0xbf};
  return bytes;
}

TEST(PackedMatrix, EveryRowComesBackExactly) {
  for (const Encoding encoding : {Encoding::kF32, Encoding::kF16, Encoding::kBF16, Encoding::kQ8_0,
                                  Encoding::kQ4_0, Encoding::kQ6_K}) {
    for (const int64_t rows : {1, 15, 16, 17, 40}) {
      for (const int64_t columns : {1, 31, 32, 33, 96, 512}) {
        if (columns % block_elements(encoding) != 0) continue;
        SCOPED_TRACE(testing::Message() << to_string(encoding) << " " << rows << " x " << columns);
        const std::vector<std::byte> bytes = random_tensor(encoding, rows, columns);
        const TensorView view{encoding, rows, columns, bytes};
        std::vector<float> expected(rows * columns);
        decode_tensor(view, expected.data());

        PackedMatrix matrix(view);
        auto buffer = Buffer::allocate(matrix.bytes());
        ASSERT_TRUE(buffer.ok());
        matrix.data = buffer->data();
        pack_blocks(view, matrix, 0, 1);
        pack_blocks(view, matrix, 1, matrix.blocks());
        std::vector<float> row(columns);
        for (int64_t r = 0; r < rows; ++r) {
          unpack_row(matrix, r, row.data());
          for (int64_t k = 0; k < columns; ++k) ASSERT_EQ(row[k], expected[r * columns + k]);
        }
      }
    }
  }
}

TEST(PackedMatrix, SelectedRowsAreThoseOfTheTensor) {
  const std::vector<std::byte> bytes = random_tensor(Encoding::kQ8_0, 40, 64);
  const TensorView whole{Encoding::kQ8_0, 40, 64, bytes};
  std::vector<float> all(40 * 64);
  decode_tensor(whole, all.data());
  const TensorView odd = whole.select(1, 20, 2).select(2, 17);  // rows 5, 7 .. 37
  std::vector<float> some(17 * 64);
  decode_tensor(odd, some.data());
  PackedMatrix matrix(odd);
  auto buffer = Buffer::allocate(matrix.bytes());
  ASSERT_TRUE(buffer.ok());
  matrix.data = buffer->data();
  pack_blocks(odd, matrix, 0, matrix.blocks());
  std::vector<float> row(64);
  for (int r = 0; r < 17; ++r) {
    unpack_row(matrix, r, row.data());
    for (int k = 0; k < 64; ++k) {
      ASSERT_EQ(some[r * 64 + k], all[(5 + 2 * r) * 64 + k]);
      ASSERT_EQ(row[k], some[r * 64 + k]);
    }
  }
}

}  // namespace
}  // namespace hearth::engine
