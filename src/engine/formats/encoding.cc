#include "engine/formats/encoding.h"

namespace hearth::engine {
namespace {

struct Geometry {
  std::string_view name;
  int elements;  // per block
  int bytes;     // per block
};

constexpr Geometry geometry(Encoding encoding) {
  switch (encoding) {
    case Encoding::kF32:
      return {"F32", 1, 4};
    case Encoding::kF16:
      return {"F16", 1, 2};
    case Encoding::kBF16:
      return {"BF16", 1, 2};
    case Encoding::kQ8_0:
      return {"Q8_0", 32, 34};
    case Encoding::kQ4_0:
      return {"Q4_0", 32, 18};
    case Encoding::kQ6_K:
      return {"Q6_K", 256, 210};
  }
  return {"unknown", 1, 1};
}

}  // namespace

std::string_view to_string(Encoding encoding) { return geometry(encoding).name; }
int block_elements(Encoding encoding) { return geometry(encoding).elements; }
int block_bytes(Encoding encoding) { return geometry(encoding).bytes; }

TensorView TensorView::select(int64_t first, int64_t count, int64_t step, int64_t run) const {
  TensorView view = *this;
  view.rows = count;
  view.first_row = tensor_row(first);
  view.row_step *= step;
  view.row_run *= run;
  return view;
}

std::optional<int64_t> element_count(std::span<const int64_t> dimensions) {
  int64_t count = 1;
  for (const int64_t dimension : dimensions) {
    if (dimension < 0 || __builtin_mul_overflow(count, dimension, &count)) return std::nullopt;
  }
  return count;
}

std::optional<int64_t> blocks_to_bytes(int64_t elements, int64_t block_elements,
                                       int64_t block_bytes) {
  int64_t bytes = 0;
  if (elements % block_elements != 0 ||
      __builtin_mul_overflow(elements / block_elements, block_bytes, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

namespace {

int64_t row_bytes(const TensorView& view) {
  return view.columns / block_elements(view.encoding) * block_bytes(view.encoding);
}

}  // namespace

int64_t stored_bytes(const TensorView& view) { return view.rows * row_bytes(view); }

std::span<const std::byte> view_bytes(const TensorView& view) {
  const int64_t rows = view.rows == 0 ? 0 : view.tensor_row(view.rows - 1) + 1 - view.first_row;
  return view.bytes.subspan(view.first_row * row_bytes(view), rows * row_bytes(view));
}

}  // namespace hearth::engine
