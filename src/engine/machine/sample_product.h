// A product with a made-up matrix, to measure kernels with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/kernels/kernels.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/packed_matrix.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

// A matrix of `columns` inputs, and rows of activations. Encodings that keep their scales apart
// have one, and a minimum, for each 64 columns. Movable; threads may run() with different blocks
// together.
class SampleProduct {
 public:
  struct Shape {
    Encoding encoding = Encoding::kF32;
    int64_t columns = 0;  // a multiple of 256
    int64_t bytes = 0;    // at least so many of weights
    int rows_max = 1;     // of activations
    // Null: rows meet the matrix as tiles. Else they do so as slabs, if the encoding has such a
    // product.
    const kernels::SlabKernels* slabs = nullptr;
  };
  // Fills the matrix on all threads of the pool, so that each worker's part of it lies near that
  // worker. kResourceExhausted if there is no memory.
  static Result<SampleProduct> create(const kernels::Kernels& kernels, const Shape& shape,
                                      ThreadPool& pool);

  const PackedMatrix& matrix() const { return matrix_; }
  std::span<const std::byte> weights() const {
    return {matrix_.data, static_cast<size_t>(matrix_.bytes())};
  }

  // The first `rows` rows times the matrix' blocks [blocks.begin, blocks.end), quantised where the
  // encoding can be. `panel` and `panel_rows` as in kernels::MatmulArgs. REQUIRES: as slabs, rows
  // is rows_max.
  void run(int rows, Range blocks, std::byte* panel, int panel_rows);

 private:
  explicit SampleProduct(const kernels::Kernels& kernels) : kernels_(&kernels) {}
  void fill_rows(int rows);
  kernels::Matmul function() const;

  const kernels::Kernels* kernels_;
  PackedMatrix matrix_;
  Buffer memory_;
  std::vector<float> x_;
  std::vector<std::byte> xq_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;
  const kernels::SlabKernels* slab_kernels_ = nullptr;  // if rows are slabs
  Buffer slabs_;
  std::vector<float> out_;
};

}  // namespace hearth::engine
