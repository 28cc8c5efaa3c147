#include "engine/formats/hf_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "engine/formats/encoding.h"

namespace hearth::engine {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kPacked = ".weight_packed";
constexpr std::string_view kBlocks = "_blocks";
constexpr int64_t kGroupColumns = 32;  // of MXFP4

// Scales of activations and of the KV cache, which Hearth does not round: not needed.
constexpr std::array<std::string_view, 4> kActivationScales = {".input_scale", ".output_scale",
                                                               ".k_scale", ".v_scale"};

using Shape = std::vector<int64_t>;

std::string text_of(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

int64_t divided_up(int64_t value, int64_t by) { return value / by + (value % by != 0 ? 1 : 0); }

// The product of all but the last `kept` dimensions. REQUIRES: a shape whose elements fit a file.
int64_t folded(const Shape& shape, size_t kept) {
  int64_t count = 1;
  for (size_t i = 0; i + kept < shape.size(); ++i) count *= shape[i];
  return count;
}

Encoding integers_of(int bits) {
  switch (bits) {
    case 2:
      return Encoding::kInt2;
    case 3:
      return Encoding::kInt3;
    case 4:
      return Encoding::kInt4;
    case 5:
      return Encoding::kInt5;
    case 6:
      return Encoding::kInt6;
    default:
      return Encoding::kInt8;
  }
}

Error wrong(const HfTensor& held, const std::string& what) {
  return Error(Code::kCorrupt, fmt::format("{}: tensor {}: {}", held.file, held.tensor.name, what));
}

Error unsupported(const HfTensor& held, const std::string& what) {
  return Error(Code::kUnsupported,
               fmt::format("{}: tensor {}: {}", held.file, held.tensor.name, what));
}

class Grouping {
 public:
  Grouping(const HfQuantization& quantization, const HfTensors& tensors)
      : quantization_(quantization), tensors_(tensors) {}

  Result<TensorTable> run() {
    for (const auto& [name, held] : tensors_) HEARTH_RETURN_IF_ERROR(add_weight(name, held));
    for (const auto& [name, held] : tensors_) HEARTH_RETURN_IF_ERROR(add_plain(name, held));
    return std::move(table_);
  }

 private:
  // A quantised weight with all its parts; anything else is left for add_plain.
  Result<void> add_weight(std::string_view name, const HfTensor& held) {
    const std::string& type = held.tensor.type;
    const auto plausible = [](int64_t size) { return size >= 1 && size <= INT32_MAX; };
    if (!std::ranges::all_of(held.tensor.shape, plausible)) return {};  // so that sizes multiply
    const auto stem = [&](std::string_view ending) {
      return std::string(name.substr(0, name.size() - ending.size()));
    };
    if (quantization_.fp8 && name.ends_with(kWeight) && type == "F8_E4M3") {
      return add_fp8(stem(kWeight), held);
    }
    if (!quantization_.packings.empty() && name.ends_with(kPacked)) {
      return add_packed(stem(kPacked), held);
    }
    if (quantization_.mlx && name.ends_with(kWeight) && type == "U32") {
      return add_mlx(stem(kWeight), held);
    }
    if (quantization_.mxfp4 && name.ends_with(kBlocks) && type == "U8") {
      return add_mxfp4_blocks(stem(kBlocks), held);
    }
    return {};
  }

  Result<void> add_plain(const std::string& name, const HfTensor& held) {
    if (taken_.contains(name)) return {};
    const bool quantised = quantization_.fp8 || !quantization_.packings.empty();
    const auto ends_name = [&](std::string_view ending) { return name.ends_with(ending); };
    if (quantised && std::ranges::any_of(kActivationScales, ends_name)) return {};
    // A tensor of another type, as an attention mask, matters only if the model's graph names it.
    const bool named = name.ends_with(kWeight) || name.ends_with(".bias");
    if (!held.tensor.encoding && !named) return {};
    HEARTH_TRY(const TensorView view, view_of(held.tensor, std::string(held.file)));
    return put(name, held, view);
  }

  Result<void> put(std::string name, const HfTensor& held, const TensorView& view) {
    constexpr std::string_view kMlxExperts = ".switch_mlp.";
    if (const size_t at = name.find(kMlxExperts); at != std::string::npos) {
      name.replace(at, kMlxExperts.size(), ".experts.");
    }
    taken_.insert(held.tensor.name);
    if (has_group_scales(view.encoding)) {
      const Result<void> checked = check_groups(view, held.tensor.name);
      if (!checked.ok()) return checked.error().context(held.file);
    }
    if (!table_.emplace(name, view).second) {
      return wrong(held, "there is another tensor for " + name);
    }
    return {};
  }

  // A tensor that belongs to the weight in `held`; null pointer if there is none.
  const HfTensor* find_part(const std::string& name) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return nullptr;
    taken_.insert(found->first);
    return &found->second;
  }
  Result<const HfTensor*> part(const std::string& name, const HfTensor& held) {
    const HfTensor* found = find_part(name);
    if (found == nullptr) return wrong(held, "expected a tensor " + name + " beside it");
    return found;
  }

  static Result<void> expect_shape(const HfTensor& held, const Shape& expected) {
    if (held.tensor.shape == expected) return {};
    return wrong(
        held, fmt::format("shape {}, expected {}", text_of(held.tensor.shape), text_of(expected)));
  }
  static Result<void> expect_type(const HfTensor& held, std::string_view expected) {
    if (held.tensor.type == expected) return {};
    return wrong(held, fmt::format("{}, expected {}", held.tensor.type, expected));
  }
  static Result<void> expect_floats(const HfTensor& held) {
    if (held.tensor.encoding && *held.tensor.encoding <= Encoding::kBF16) return {};
    return wrong(held, held.tensor.type + ", expected F32, F16 or BF16");
  }

  Result<void> add_fp8(const std::string& stem, const HfTensor& held);
  Result<void> add_packed(const std::string& stem, const HfTensor& held);
  Result<void> add_mlx(const std::string& stem, const HfTensor& held);
  Result<void> add_mlx_mxfp4(const std::string& stem, const HfTensor& held);
  Result<void> add_mxfp4_blocks(const std::string& stem, const HfTensor& held);

  const HfQuantization& quantization_;
  const HfTensors& tensors_;
  TensorTable table_;
  std::set<std::string_view> taken_;  // weights and their parts
};

Result<void> Grouping::add_fp8(const std::string& stem, const HfTensor& held) {
  const HfTensor* scales = find_part(stem + ".weight_scale_inv");
  if (scales == nullptr) {
    HEARTH_TRY(scales, part(stem + ".weight_scale", held));
  }
  HEARTH_RETURN_IF_ERROR(expect_floats(*scales));
  const Shape& shape = held.tensor.shape;
  if (shape.size() < 2) return wrong(held, "shape " + text_of(shape) + ", expected a matrix");
  const int64_t rows = shape[shape.size() - 2];
  const int64_t columns = shape.back();
  TensorView view{.encoding = Encoding::kF8_E4M3,
                  .rows = folded(shape, 1),
                  .columns = columns,
                  .bytes = held.tensor.bytes};
  view.groups = {.type = *scales->tensor.encoding, .scales = scales->tensor.bytes};

  const int64_t count = element_count(scales->tensor.shape).value_or(0);
  const int64_t block_rows = quantization_.fp8_block_rows;
  if (count == 1) {  // also a matrix within one block
    view.groups.rows = std::max<int64_t>(view.rows, 1);
    view.groups.columns = std::max<int64_t>(columns, 1);
  } else if (block_rows == 0) {
    view.groups.columns = columns;
    Shape expected = shape;
    expected.back() = 1;
    if (scales->tensor.shape != Shape{view.rows}) {
      HEARTH_RETURN_IF_ERROR(expect_shape(*scales, expected));
    }
  } else {
    view.groups.rows = block_rows;
    view.groups.columns = quantization_.fp8_block_columns;
    Shape expected = shape;
    expected[shape.size() - 2] = divided_up(rows, block_rows);
    expected.back() = divided_up(columns, quantization_.fp8_block_columns);
    HEARTH_RETURN_IF_ERROR(expect_shape(*scales, expected));
    if (shape.size() > 2 && rows % block_rows != 0) {
      return unsupported(held, "stacked matrices that share blocks of scales");
    }
  }
  return put(stem + ".weight", held, view);
}

// X.weight_packed I32 [rows, columns * bits / 32] of the numbers plus 2^(bits - 1), X.weight_shape
// I64 [2], X.weight_scale [rows, groups]; unsymmetric: X.weight_zero_point I32 [rows * bits / 32,
// groups].
Result<void> Grouping::add_packed(const std::string& stem, const HfTensor& held) {
  HEARTH_RETURN_IF_ERROR(expect_type(held, "I32"));
  HEARTH_TRY(const HfTensor* size, part(stem + ".weight_shape", held));
  HEARTH_TRY(const HfTensor* scales, part(stem + ".weight_scale", held));
  find_part(stem + ".weight_zero_point");  // not needed where numbers are symmetric
  if (tensors_.contains(stem + ".weight_g_idx")) {
    return unsupported(held,
                       "columns in another order (g_idx): use a GGUF or MLX file of this "
                       "model");
  }
  HEARTH_RETURN_IF_ERROR(expect_type(*size, "I64"));
  HEARTH_RETURN_IF_ERROR(expect_shape(*size, {2}));
  HEARTH_RETURN_IF_ERROR(expect_floats(*scales));
  int64_t sizes[2];
  std::memcpy(sizes, size->tensor.bytes.data(), sizeof sizes);
  const auto [rows, columns] = sizes;
  const Shape& shape = held.tensor.shape;
  if (shape.size() != 2 || shape[0] != rows || columns < 1 || columns > shape[1] * 32) {
    return wrong(*size,
                 fmt::format("{} x {} for numbers packed as {}", rows, columns, text_of(shape)));
  }
  // The module's group in the config is the one whose numbers fit.
  for (const HfQuantization::Packing& packing : quantization_.packings) {
    const int64_t group = packing.group_size == 0 ? columns : packing.group_size;
    const Shape groups = {rows, divided_up(columns, group)};
    if (shape[1] * 32 != columns * packing.bits || scales->tensor.shape != groups) continue;
    if (columns % 32 != 0) return unsupported(held, "rows that are no multiple of 32");
    TensorView view{.encoding = integers_of(packing.bits),
                    .rows = rows,
                    .columns = columns,
                    .bytes = held.tensor.bytes};
    view.groups = {.type = *scales->tensor.encoding,
                   .rows = 1,
                   .columns = group,
                   .scales = scales->tensor.bytes};
    if (packing.zero_points) {
      HEARTH_TRY(const HfTensor* zeros, part(stem + ".weight_zero_point", held));
      HEARTH_RETURN_IF_ERROR(expect_type(*zeros, "I32"));
      HEARTH_RETURN_IF_ERROR(
          expect_shape(*zeros, {divided_up(rows, 32 / packing.bits), groups[1]}));
      view.groups.zeros = zeros->tensor.bytes;
    }
    return put(stem + ".weight", held, view);
  }
  return wrong(held, fmt::format("{} x {} numbers packed as {} with scales {}, which no group in "
                                 "config.json has",
                                 rows, columns, text_of(shape), text_of(scales->tensor.shape)));
}

// X.weight U32 [..., columns * bits / 32], X.scales and X.biases [..., columns / group size].
Result<void> Grouping::add_mlx(const std::string& stem, const HfTensor& held) {
  const HfQuantization::MlxModule& module = quantization_.mlx_module(stem);
  if (module.mode == HfQuantization::MlxMode::kMxfp4) return add_mlx_mxfp4(stem, held);
  HEARTH_TRY(const HfTensor* scales, part(stem + ".scales", held));
  HEARTH_TRY(const HfTensor* biases, part(stem + ".biases", held));
  const Shape& shape = held.tensor.shape;
  HEARTH_RETURN_IF_ERROR(expect_floats(*scales));
  HEARTH_RETURN_IF_ERROR(expect_type(*biases, scales->tensor.type));
  if (shape.size() < 2 || shape.back() * 32 % module.bits != 0) {
    return wrong(held, fmt::format("shape {}, expected a matrix of {}-bit numbers", text_of(shape),
                                   module.bits));
  }
  const int64_t columns = shape.back() * 32 / module.bits;
  Shape groups = shape;
  groups.back() = divided_up(columns, module.group_size);
  HEARTH_RETURN_IF_ERROR(expect_shape(*scales, groups));
  HEARTH_RETURN_IF_ERROR(expect_shape(*biases, groups));
  if (columns % module.group_size != 0) {
    return wrong(held, fmt::format("rows of {} numbers, expected whole groups of {}", columns,
                                   module.group_size));
  }
  TensorView view{.encoding = integers_of(module.bits),
                  .rows = folded(shape, 1),
                  .columns = columns,
                  .bytes = held.tensor.bytes};
  view.groups = {.type = *scales->tensor.encoding,
                 .rows = 1,
                 .columns = module.group_size,
                 .scales = scales->tensor.bytes,
                 .biases = biases->tensor.bytes};
  return put(stem + ".weight", held, view);
}

// X.weight U32 [..., columns / 8], X.scales U8 [..., columns / 32].
Result<void> Grouping::add_mlx_mxfp4(const std::string& stem, const HfTensor& held) {
  HEARTH_TRY(const HfTensor* scales, part(stem + ".scales", held));
  const Shape& shape = held.tensor.shape;
  if (shape.size() < 2 || shape.back() % 4 != 0) {
    return wrong(held, "shape " + text_of(shape) + ", expected a matrix of whole groups of 32");
  }
  Shape groups = shape;
  groups.back() /= 4;
  HEARTH_RETURN_IF_ERROR(expect_type(*scales, "U8"));
  HEARTH_RETURN_IF_ERROR(expect_shape(*scales, groups));
  TensorView view{.encoding = Encoding::kMXFP4Split,
                  .rows = folded(shape, 1),
                  .columns = shape.back() * 8,
                  .bytes = held.tensor.bytes};
  view.groups = {.rows = 1, .columns = kGroupColumns, .scales = scales->tensor.bytes};
  return put(stem + ".weight", held, view);
}

// X_blocks U8 [..., columns / 32, 16], X_scales U8 [..., columns / 32].
Result<void> Grouping::add_mxfp4_blocks(const std::string& stem, const HfTensor& held) {
  HEARTH_TRY(const HfTensor* scales, part(stem + "_scales", held));
  const Shape& shape = held.tensor.shape;
  if (shape.size() < 3 || shape.back() != kGroupColumns / 2) {
    return wrong(held, "shape " + text_of(shape) + ", expected [..., columns / 32, 16]");
  }
  const Shape groups(shape.begin(), shape.end() - 1);
  HEARTH_RETURN_IF_ERROR(expect_type(*scales, "U8"));
  HEARTH_RETURN_IF_ERROR(expect_shape(*scales, groups));
  TensorView view{.encoding = Encoding::kMXFP4Split,
                  .rows = folded(groups, 1),
                  .columns = groups.back() * kGroupColumns,
                  .bytes = held.tensor.bytes};
  view.groups = {.rows = 1, .columns = kGroupColumns, .scales = scales->tensor.bytes};
  return put(stem, held, view);
}

}  // namespace

Result<TensorTable> tensor_table_of(const HfQuantization& quantization, const HfTensors& tensors) {
  return Grouping(quantization, tensors).run();
}

}  // namespace hearth::engine
