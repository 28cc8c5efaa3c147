#include "engine/formats/encoding.h"

#include <iterator>
#include <numeric>

namespace hearth::engine {
namespace {

struct Geometry {
  std::string_view name;
  int elements;  // per block
  int bytes;     // per block
};

// In the order of Encoding.
constexpr Geometry kGeometries[] = {
    {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},       {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},     {"Q8_0", 32, 34},
    {"Q2_K", 256, 84},  {"Q3_K", 256, 110}, {"Q4_K", 256, 144},   {"Q5_K", 256, 176},
    {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136}, {"MXFP4", 32, 17},
    {"F8_E4M3", 1, 1},  {"INT2", 32, 8},    {"INT3", 32, 12},     {"INT4", 32, 16},
    {"INT5", 32, 20},   {"INT6", 32, 24},   {"INT8", 32, 32},     {"MXFP4", 32, 16},
};
static_assert(std::size(kGeometries) == static_cast<size_t>(Encoding::kMXFP4Split) + 1);

const Geometry& geometry(Encoding encoding) { return kGeometries[static_cast<size_t>(encoding)]; }

int bits_of_integers(Encoding encoding) { return block_bytes(encoding) / 4; }

int64_t divide_up(int64_t value, int64_t by) { return value / by + (value % by != 0 ? 1 : 0); }

int64_t bytes_of_columns(const TensorView& view, int64_t columns) {
  return columns / block_elements(view.encoding) * block_bytes(view.encoding);
}

}  // namespace

std::string_view to_string(Encoding encoding) { return geometry(encoding).name; }
int block_elements(Encoding encoding) { return geometry(encoding).elements; }
int block_bytes(Encoding encoding) { return geometry(encoding).bytes; }
bool has_group_scales(Encoding encoding) { return encoding >= Encoding::kF8_E4M3; }

TensorView TensorView::select(int64_t first, int64_t count, int64_t step, int64_t run) const {
  TensorView view = *this;
  view.rows = count;
  view.first_row = tensor_row(first);
  view.row_step *= step;
  view.row_run *= run;
  return view;
}

TensorView TensorView::select_columns(int64_t first, int64_t count) const {
  TensorView view = *this;
  view.columns = count;
  view.first_column = first_column + first;
  view.tensor_columns = row_columns();
  return view;
}

int64_t column_unit(const TensorView& view) {
  const int64_t block = block_elements(view.encoding);
  const bool groups = has_group_scales(view.encoding) && view.groups.columns < view.row_columns();
  return groups ? std::lcm(block, view.groups.columns) : block;
}

Result<void> check_groups(const TensorView& view, const std::string& name) {
  const GroupScales& groups = view.groups;
  const auto wrong = [&](const std::string& what) {
    return Error(Code::kCorrupt, "tensor " + name + ": " + what);
  };
  const auto expect_bytes = [&](const char* what, std::span<const std::byte> bytes,
                                int64_t expected) -> Result<void> {
    if (static_cast<int64_t>(bytes.size()) == expected) return {};
    return wrong(std::string(what) + " of " + std::to_string(bytes.size()) + " bytes, expected " +
                 std::to_string(expected));
  };
  if (groups.rows < 1 || groups.columns < 1 ||
      (groups.columns % 32 != 0 && groups.columns < view.columns)) {
    return wrong("scales of " + std::to_string(groups.rows) + " x " +
                 std::to_string(groups.columns) +
                 " numbers, expected whole rows or a multiple of 32 columns");
  }
  const int64_t row_groups = divide_up(view.rows, groups.rows);
  const int64_t column_groups = divide_up(view.columns, groups.columns);
  if (view.encoding == Encoding::kMXFP4Split) {
    if (groups.rows != 1 || groups.columns != 32) return wrong("expected a scale for each 1 x 32");
    return expect_bytes("scales", groups.scales, row_groups * column_groups);
  }
  const int width = groups.type == Encoding::kF32 ? 4 : 2;
  if (groups.type > Encoding::kBF16) return wrong("scales that are not floats");
  HEARTH_RETURN_IF_ERROR(expect_bytes("scales", groups.scales, row_groups * column_groups * width));
  const bool integers = view.encoding != Encoding::kF8_E4M3;
  if (!groups.biases.empty()) {
    if (!integers) return wrong("unexpected biases");
    HEARTH_RETURN_IF_ERROR(
        expect_bytes("biases", groups.biases, row_groups * column_groups * width));
  }
  if (!groups.zeros.empty()) {
    const int bits = integers ? bits_of_integers(view.encoding) : 0;
    if ((bits != 2 && bits != 4 && bits != 8) || groups.rows != 1 || !groups.biases.empty()) {
      return wrong("unexpected zero points");
    }
    HEARTH_RETURN_IF_ERROR(expect_bytes("zero points", groups.zeros,
                                        divide_up(view.rows, 32 / bits) * column_groups * 4));
  }
  return {};
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

int64_t stored_bytes(const TensorView& view) {
  const int64_t bytes = view.rows * bytes_of_columns(view, view.columns);
  const auto whole = static_cast<int64_t>(view.bytes.size());
  const GroupScales& groups = view.groups;
  const auto scales =
      static_cast<double>(groups.scales.size() + groups.biases.size() + groups.zeros.size());
  if (whole == 0) return bytes;
  return bytes +
         static_cast<int64_t>(scales * static_cast<double>(bytes) / static_cast<double>(whole));
}

std::span<const std::byte> bytes_of_rows(const TensorView& view, int64_t begin, int64_t end) {
  const int64_t first = view.tensor_row(begin);
  const int64_t rows = view.tensor_row(end - 1) + 1 - first;
  const int64_t row_bytes = bytes_of_columns(view, view.row_columns());
  return view.bytes.subspan(first * row_bytes + bytes_of_columns(view, view.first_column),
                            (rows - 1) * row_bytes + bytes_of_columns(view, view.columns));
}

}  // namespace hearth::engine
