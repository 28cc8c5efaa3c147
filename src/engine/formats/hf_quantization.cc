#include "engine/formats/hf_quantization.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/formats/json.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr int64_t kBlockMax = 1 << 16;
constexpr size_t kPackingsMax = 64;

Error refused(const JsonObject& object, const std::string& what) {
  return Error(Code::kUnsupported, object.where() + ": weights quantised with " + what +
                                       ": use a GGUF or MLX file of this model");
}

template <size_t N>
bool one_of(int64_t value, const int64_t (&allowed)[N]) {
  return std::find(std::begin(allowed), std::end(allowed), value) != std::end(allowed);
}

// {"group_size": 64, "bits": 4, "mode": "affine"}, of the model or of one module.
Result<HfQuantization::MlxModule> mlx_module_of(const JsonObject& object) {
  HfQuantization::MlxModule module;
  HEARTH_TRY(const std::string mode, object.text_or("mode", "affine"));
  const bool mxfp4 = mode == "mxfp4";
  if (!mxfp4 && mode != "affine") return refused(object, "MLX's mode " + mode);
  HEARTH_TRY(module.group_size, object.integer_or("group_size", mxfp4 ? 32 : 64, 1, kBlockMax));
  HEARTH_TRY(const int64_t bits, object.integer_or("bits", 4, 1, 64));
  module.bits = static_cast<int>(bits);
  if (mxfp4) {
    module.mode = HfQuantization::MlxMode::kMxfp4;
    if (module.group_size != 32) return object.wrong("group_size", "32 in mode mxfp4");
    if (bits != 4) return object.wrong("bits", "4 in mode mxfp4");
    return module;
  }
  if (!one_of(module.group_size, {32, 64, 128})) return object.wrong("group_size", "32, 64 or 128");
  if (!one_of(bits, {2, 3, 4, 5, 6, 8})) return object.wrong("bits", "2, 3, 4, 5, 6 or 8");
  return module;
}

// Beside its own keys the object holds modules by name: other numbers, or whether it is quantised
// at all, which the tensors tell as well.
Result<void> read_mlx(const JsonObject& object, const json& value, HfQuantization& quantization) {
  quantization.mlx = true;
  HEARTH_TRY(quantization.mlx_default, mlx_module_of(object));
  for (const auto& [name, module] : value.items()) {
    if (!module.is_object()) continue;
    HEARTH_TRY(const JsonObject checked, JsonObject::of(module, object.where() + ": " + name));
    HEARTH_TRY(const HfQuantization::MlxModule read, mlx_module_of(checked));
    quantization.mlx_modules.emplace(name, read);
  }
  return {};
}

// [rows, columns] of the blocks that share an FP8 scale.
Result<void> read_fp8_block(const JsonObject& object, std::string_view key,
                            HfQuantization& quantization) {
  quantization.fp8 = true;
  if (!object.has(key)) return {};
  HEARTH_TRY(const json* sizes, object.array(key));
  const auto in_range = [](const json& size) {
    return size.is_number_integer() && size >= 1 && size <= kBlockMax;
  };
  if (sizes->size() != 2 || !in_range((*sizes)[0]) || !in_range((*sizes)[1])) {
    return object.wrong(key, "two sizes from 1 to 65536");
  }
  quantization.fp8_block_rows = (*sizes)[0].get<int64_t>();
  quantization.fp8_block_columns = (*sizes)[1].get<int64_t>();
  return {};
}

Result<void> read_fp8(const JsonObject& object, HfQuantization& quantization) {
  HEARTH_TRY(const std::string format, object.text_or("fmt", "e4m3"));
  if (format != "e4m3" && format != "float8_e4m3fn") return refused(object, "fp8 " + format);
  return read_fp8_block(object, "weight_block_size", quantization);
}

// One entry of config_groups: how the modules that it names are stored.
Result<void> read_config_group(const JsonObject& group, const std::string& common_format,
                               HfQuantization& quantization) {
  HEARTH_TRY(const std::string format, group.text_or("format", common_format));
  HEARTH_TRY(const JsonObject weights, group.object("weights"));
  HEARTH_TRY(const int64_t bits, weights.integer("num_bits", 1, 64));
  HEARTH_TRY(const std::string type, weights.text_or("type", "int"));
  HEARTH_TRY(const std::string strategy, weights.text_or("strategy", "channel"));
  const std::string described =
      "compressed-tensors " + format + ", " + type + std::to_string(bits) + " per " + strategy;
  const bool floats = format == "float-quantized" || format == "naive-quantized";
  if (floats && type == "float" && bits == 8) {
    if (strategy != "tensor" && strategy != "channel" && strategy != "block") {
      return refused(weights, described);
    }
    return read_fp8_block(weights, "block_structure", quantization);
  }
  HEARTH_TRY(const bool symmetric, weights.boolean_or("symmetric", true));
  const bool grouped = strategy == "group";
  const bool known = format == "pack-quantized" && type == "int" && (bits == 4 || bits == 8);
  if (!known || (!grouped && strategy != "channel")) return refused(weights, described);
  HfQuantization::Packing packing{.bits = static_cast<int>(bits), .zero_points = !symmetric};
  if (grouped) {
    HEARTH_TRY(packing.group_size, weights.integer("group_size", 1, kBlockMax));
    if (!one_of(packing.group_size, {32, 64, 128})) {
      return weights.wrong("group_size", "32, 64 or 128");
    }
  }
  quantization.packings.push_back(packing);
  return {};
}

Result<void> read_compressed_tensors(const JsonObject& object, HfQuantization& quantization) {
  HEARTH_TRY(const std::string format, object.text_or("format", "dense"));
  if (!object.has("config_groups")) {
    if (format == "dense") return {};
    return object.wrong("config_groups", "the groups of modules");
  }
  HEARTH_TRY(const JsonObject groups, object.object("config_groups"));
  const json& values = *object.find("config_groups");
  if (values.size() > kPackingsMax) return object.wrong("config_groups", "at most 64 groups");
  for (const auto& [name, value] : values.items()) {
    HEARTH_TRY(const JsonObject group, groups.object(name));
    HEARTH_RETURN_IF_ERROR(read_config_group(group, format, quantization));
  }
  return {};
}

}  // namespace

const HfQuantization::MlxModule& HfQuantization::mlx_module(std::string_view module) const {
  const auto found = mlx_modules.find(module);
  return found == mlx_modules.end() ? mlx_default : found->second;
}

Result<HfQuantization> quantization_of_config(const json& config, const std::string& file) {
  HfQuantization quantization;
  HEARTH_TRY(const JsonObject object, JsonObject::of(config, file));
  // MLX writes its own key, and lately the same under the common one as well.
  const bool own_key = object.has("quantization");
  const std::string key = own_key ? "quantization" : "quantization_config";
  if (!object.has(key)) return quantization;
  HEARTH_TRY(const JsonObject scheme, object.object(key));
  if (own_key || (!scheme.has("quant_method") && scheme.has("group_size"))) {
    HEARTH_RETURN_IF_ERROR(read_mlx(scheme, *object.find(key), quantization));
    return quantization;
  }
  HEARTH_TRY(const std::string method, scheme.text("quant_method"));
  if (method == "fp8") {
    HEARTH_RETURN_IF_ERROR(read_fp8(scheme, quantization));
  } else if (method == "fbgemm_fp8") {
    quantization.fp8 = true;
  } else if (method == "compressed-tensors") {
    HEARTH_RETURN_IF_ERROR(read_compressed_tensors(scheme, quantization));
  } else if (method == "mxfp4") {
    quantization.mxfp4 = true;
  } else {
    return refused(scheme, method);
  }
  return quantization;
}

}  // namespace hearth::engine
