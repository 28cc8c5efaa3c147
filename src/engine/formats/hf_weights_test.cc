#include "engine/formats/hf_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/formats/safetensors.h"
#include "engine/formats/test_files.h"
#include "engine/tensor/decode.h"

namespace hearth::engine {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Shape = std::vector<int64_t>;

template <class T>
std::string packed(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// `count` times the same byte.
std::string filled(size_t count, int byte) { return std::string(count, static_cast<char>(byte)); }

// A directory's config and weights, in memory.
class HfWeights : public ::testing::Test {
 protected:
  void add(const std::string& name, const std::string& dtype, const Shape& shape,
           const std::string& bytes) {
    header_[name] = {{"dtype", dtype},
                     {"shape", shape},
                     {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_ += bytes;
  }
  void add_floats(const std::string& name, const Shape& shape, const std::vector<float>& values) {
    add(name, "F32", shape, packed(values));
  }

  Result<TensorTable> read(const json& config) {
    HEARTH_TRY(const HfQuantization quantization, quantization_of_config(config, "config.json"));
    file_ = safetensors(header_.dump(), data_);
    HEARTH_TRY(std::vector<FileTensor> tensors, parse_safetensors(bytes_of(file_), kFile));
    HfTensors all;
    for (FileTensor& tensor : tensors) {
      std::string name = tensor.name;
      all.emplace(std::move(name), HfTensor{std::move(tensor), kFile});
    }
    return tensor_table_of(quantization, all);
  }

  TensorTable table(const json& config) {
    auto read_table = read(config);
    EXPECT_TRUE(read_table.ok()) << read_table.error().message();
    return read_table.ok() ? std::move(*read_table) : TensorTable();
  }
  std::string error(const json& config, Code code) {
    const auto read_table = read(config);
    EXPECT_FALSE(read_table.ok());
    if (read_table.ok()) return {};
    EXPECT_EQ(read_table.error().code(), code) << read_table.error().message();
    return read_table.error().message();
  }

  static std::vector<float> decoded(const TensorView& view) {
    std::vector<float> numbers(view.rows * view.columns);
    decode_tensor(view, numbers.data());
    return numbers;
  }
  static std::vector<std::string> names(const TensorTable& table) {
    std::vector<std::string> names;
    for (const auto& [name, view] : table) names.push_back(name);
    return names;
  }

  static constexpr char kFile[] = "m.safetensors";
  json header_ = json::object();
  std::string data_;
  std::string file_;
};

constexpr int kOne = 0x38;  // 1.0 in E4M3

const json kFp8 = {
    {"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {2, 32}}}}};

TEST_F(HfWeights, Fp8WithAScalePerBlock) {
  add("a.weight", "F8_E4M3", {3, 40}, filled(120, kOne));
  add_floats("a.weight_scale_inv", {2, 2}, {1, 2, 3, 4});
  add_floats("b.weight", {1, 2}, {5, 6});  // in modules_to_not_convert
  const TensorTable views = table(kFp8);
  EXPECT_THAT(names(views), ElementsAre("a.weight", "b.weight"));
  const std::vector<float> a = decoded(views.at("a.weight"));
  EXPECT_EQ(a[0], 1);
  EXPECT_EQ(a[40 + 31], 1);
  EXPECT_EQ(a[40 + 32], 2);
  EXPECT_EQ(a[80 + 31], 3);
  EXPECT_EQ(a[80 + 39], 4);
  EXPECT_THAT(decoded(views.at("b.weight")), ElementsAre(5, 6));
}

TEST_F(HfWeights, Fp8WithAScalePerRowOrMatrix) {
  add("row.weight", "F8_E4M3", {2, 32}, filled(64, kOne));
  add("row.weight_scale", "BF16", {2, 1}, packed<uint16_t>({0x3f80, 0x4000}));
  add("all.weight", "F8_E4M3", {2, 32}, filled(64, kOne));
  add_floats("all.weight_scale", {}, {7});
  add_floats("all.input_scale", {}, {9});  // of activations: not needed
  const json config = {
      {"quantization_config",
       {{"quant_method", "compressed-tensors"},
        {"format", "float-quantized"},
        {"config_groups",
         {{"group_0",
           {{"weights", {{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}}}}}}}}}};
  const TensorTable views = table(config);
  EXPECT_THAT(names(views), ElementsAre("all.weight", "row.weight"));
  const std::vector<float> row = decoded(views.at("row.weight"));
  EXPECT_EQ(row[31], 1);
  EXPECT_EQ(row[32], 2);
  EXPECT_EQ(decoded(views.at("all.weight"))[63], 7);
}

TEST_F(HfWeights, Fp8ScalesMustFit) {
  add("a.weight", "F8_E4M3", {4, 64}, filled(256, kOne));
  EXPECT_THAT(error(kFp8, Code::kCorrupt),
              AllOf(HasSubstr("m.safetensors: tensor a.weight"), HasSubstr("a.weight_scale")));
  add_floats("a.weight_scale_inv", {1, 2}, {1, 2});
  EXPECT_THAT(error(kFp8, Code::kCorrupt),
              AllOf(HasSubstr("a.weight_scale_inv"), HasSubstr("[1, 2]"), HasSubstr("[2, 2]")));
  EXPECT_THAT(error(json::object(), Code::kUnsupported),
              AllOf(HasSubstr("a.weight"), HasSubstr("F8_E4M3")));
}

json packed_config(const json& weights) {
  return {{"quantization_config",
           {{"quant_method", "compressed-tensors"},
            {"format", "pack-quantized"},
            {"config_groups", {{"group_0", {{"weights", weights}}}}}}}};
}
const json kInt4 = packed_config({{"num_bits", 4},
                                  {"type", "int"},
                                  {"symmetric", true},
                                  {"strategy", "group"},
                                  {"group_size", 32}});

TEST_F(HfWeights, PackedInt4InGroups) {
  // Rows of 0 .. 15, 0 .. 15 and so on, so that numbers run from -8 to 7.
  const std::vector<uint32_t> row = {0x76543210, 0xfedcba98, 0x76543210, 0xfedcba98,
                                     0x76543210, 0xfedcba98, 0x76543210, 0xfedcba98};
  add("a.weight_packed", "I32", {1, 8}, packed(row));
  add("a.weight_shape", "I64", {2}, packed<int64_t>({1, 64}));
  add_floats("a.weight_scale", {1, 2}, {1, 10});
  const TensorTable views = table(kInt4);
  EXPECT_THAT(names(views), ElementsAre("a.weight"));
  const std::vector<float> a = decoded(views.at("a.weight"));
  EXPECT_EQ(a[0], -8);
  EXPECT_EQ(a[15], 7);
  EXPECT_EQ(a[31], 7);
  EXPECT_EQ(a[32], -80);
  EXPECT_EQ(a[63], 70);
}

TEST_F(HfWeights, PackedInt8PerRow) {
  add("a.weight_packed", "I32", {2, 8}, filled(64, 0x83));  // 0x83 - 128 = 3
  add("a.weight_shape", "I64", {2}, packed<int64_t>({2, 32}));
  add_floats("a.weight_scale", {2, 1}, {1, 10});
  const TensorTable views =
      table(packed_config({{"num_bits", 8}, {"type", "int"}, {"strategy", "channel"}}));
  EXPECT_EQ(decoded(views.at("a.weight"))[31], 3);
  EXPECT_EQ(decoded(views.at("a.weight"))[63], 30);
}

TEST_F(HfWeights, PackedInt4WithZeroPoints) {
  const json config = packed_config({{"num_bits", 4},
                                     {"type", "int"},
                                     {"symmetric", false},
                                     {"strategy", "group"},
                                     {"group_size", 32}});
  add("a.weight_packed", "I32", {2, 4}, filled(32, 0x55));
  add("a.weight_shape", "I64", {2}, packed<int64_t>({2, 32}));
  add_floats("a.weight_scale", {2, 1}, {1, 10});
  EXPECT_THAT(error(config, Code::kCorrupt), HasSubstr("a.weight_zero_point"));
  add("a.weight_zero_point", "I32", {1, 1}, packed<uint32_t>({0x31}));
  const TensorTable views = table(config);
  EXPECT_EQ(decoded(views.at("a.weight"))[0], 4);    // 5 - 1
  EXPECT_EQ(decoded(views.at("a.weight"))[63], 20);  // 10 * (5 - 3)
}

TEST_F(HfWeights, PackedPartsMustFit) {
  add("a.weight_packed", "I32", {1, 4}, filled(16, 0));
  EXPECT_THAT(error(kInt4, Code::kCorrupt), HasSubstr("a.weight_shape"));
  add("a.weight_shape", "I64", {2}, packed<int64_t>({1, 64}));
  EXPECT_THAT(error(kInt4, Code::kCorrupt), HasSubstr("a.weight_scale"));
  add_floats("a.weight_scale", {1, 1}, {1});
  EXPECT_THAT(error(kInt4, Code::kCorrupt), HasSubstr("1 x 64 numbers packed as [1, 4]"));
  header_["a.weight_shape"]["shape"] = Shape{1, 2};
  EXPECT_THAT(error(kInt4, Code::kCorrupt), HasSubstr("a.weight_shape: shape [1, 2]"));
  header_["a.weight_shape"]["shape"] = Shape{2};
  add("a.weight_g_idx", "I32", {32}, filled(128, 0));
  EXPECT_THAT(error(kInt4, Code::kUnsupported), HasSubstr("g_idx"));
}

TEST_F(HfWeights, PackedShapesMayNotLie) {
  add_floats("a.weight_scale", {1, 1}, {1});
  add("a.weight_packed", "I32", {1, 4}, filled(16, 0));
  add("a.weight_shape", "I64", {2}, packed<int64_t>({1, INT64_MAX}));
  EXPECT_THAT(error(kInt4, Code::kCorrupt), HasSubstr("a.weight_shape"));
}

// MLX's module of 1 x 64 numbers that are all `byte`'s.
class MlxWeights : public HfWeights {
 protected:
  void add_module(const std::string& name, const Shape& leading, int bits, int group, int byte) {
    int64_t matrices = 1;
    for (const int64_t size : leading) matrices *= size;
    Shape shape = leading;
    shape.push_back(2 * bits);
    add(name + ".weight", "U32", shape, filled(matrices * 8 * bits, byte));
    shape.back() = 64 / group;
    const std::vector<uint16_t> halves(matrices * shape.back(), 0x3c00);  // 1 in F16
    add(name + ".scales", "F16", shape, packed(halves));
    add(name + ".biases", "F16", shape, packed(halves));
  }
};

TEST_F(MlxWeights, ModulesMayDifferFromTheDefault) {
  add_module("a", {1}, 4, 64, 0x33);
  add_module("b", {1}, 8, 32, 0x21);
  add_floats("c.weight", {1, 2}, {5, 6});
  add_floats("c.bias", {2}, {7, 8});
  const TensorTable views = table({{"quantization",
                                    {{"group_size", 64},
                                     {"bits", 4},
                                     {"mode", "affine"},
                                     {"a", true},
                                     {"b", {{"group_size", 32}, {"bits", 8}}},
                                     {"c", false}}}});
  EXPECT_THAT(names(views), ElementsAre("a.weight", "b.weight", "c.bias", "c.weight"));
  EXPECT_EQ(decoded(views.at("a.weight")), std::vector<float>(64, 3 + 1));
  EXPECT_EQ(decoded(views.at("b.weight")), std::vector<float>(64, 0x21 + 1));
  EXPECT_THAT(decoded(views.at("c.weight")), ElementsAre(5, 6));
}

TEST_F(MlxWeights, StackedExpertsGetTheirUsualName) {
  add_module("model.layers.0.mlp.switch_mlp.gate_proj", {3, 2}, 4, 64, 0x11);
  // Lately the key has the common name, but none of its own keys.
  const TensorTable views =
      table({{"quantization_config", {{"group_size", 64}, {"bits", 4}, {"mode", "affine"}}}});
  EXPECT_THAT(names(views), ElementsAre("model.layers.0.mlp.experts.gate_proj.weight"));
  const TensorView& experts = views.begin()->second;
  EXPECT_EQ(experts.rows, 6);
  EXPECT_EQ(decoded(experts.select(4, 2)), std::vector<float>(128, 2));
}

TEST_F(MlxWeights, PartsMustFit) {
  const json config = {{"quantization", {{"group_size", 32}, {"bits", 4}}}};
  add_module("a", {1}, 4, 64, 0);
  EXPECT_THAT(error(config, Code::kCorrupt), AllOf(HasSubstr("a.scales"), HasSubstr("[1, 2]")));
  header_.erase("a.biases");
  data_.resize(data_.size() - 2);
  EXPECT_THAT(error(config, Code::kCorrupt), AllOf(HasSubstr("a.weight"), HasSubstr("a.biases")));
  EXPECT_THAT(error(json::object(), Code::kUnsupported), HasSubstr("U32"));
}

// The numbers of the 4-bit format, 0 to 6 and -0 to -6, twice: blocks of gpt-oss and of MLX.
TEST_F(HfWeights, Mxfp4InBothSpellings) {
  std::string codes;
  for (const int repeat : {0, 1}) {
    for (int code = 0; code < 16; code += 2) {
      codes.push_back(static_cast<char>(code | (code + 1) << 4));
    }
    ASSERT_EQ(codes.size(), 8u * (repeat + 1));
  }
  const std::vector<uint8_t> exponents = {127, 128, 126};
  add("e.gate_up_proj_blocks", "U8", {3, 1, 1, 16}, codes + codes + codes);
  add("e.gate_up_proj_scales", "U8", {3, 1, 1}, packed(exponents));
  const TensorTable blocks = table({{"quantization_config", {{"quant_method", "mxfp4"}}}});
  EXPECT_THAT(names(blocks), ElementsAre("e.gate_up_proj"));
  const TensorView& view = blocks.at("e.gate_up_proj");
  EXPECT_EQ(view.rows, 3);
  const std::vector<float> numbers = decoded(view);
  EXPECT_THAT(std::vector<float>(numbers.begin(), numbers.begin() + 16),
              ElementsAre(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6));
  EXPECT_EQ(numbers[32 + 7], 12);
  EXPECT_EQ(numbers[64 + 31], -3);

  header_ = json::object();
  data_.clear();
  add("e.up.weight", "U32", {3, 1, 4}, codes + codes + codes);
  add("e.up.scales", "U8", {3, 1, 1}, packed(exponents));
  const TensorTable mlx =
      table({{"quantization", {{"group_size", 32}, {"bits", 4}, {"mode", "mxfp4"}}}});
  EXPECT_EQ(decoded(mlx.at("e.up.weight")), numbers);

  header_["e.up.scales"]["shape"] = Shape{1, 3, 1};
  EXPECT_THAT(error({{"quantization", {{"mode", "mxfp4"}}}}, Code::kCorrupt),
              HasSubstr("e.up.scales"));
}

TEST_F(HfWeights, TwoTensorsOfOneName) {
  add("a.weight_packed", "I32", {1, 4}, filled(16, 0));
  add("a.weight_shape", "I64", {2}, packed<int64_t>({1, 32}));
  add_floats("a.weight_scale", {1, 1}, {1});
  add_floats("a.weight", {1, 1}, {1});
  EXPECT_THAT(error(kInt4, Code::kCorrupt), HasSubstr("another tensor for a.weight"));
}

TEST_F(HfWeights, EmptyTensorsAreNoWeights) {
  add("a.weight", "U32", {0, INT64_MAX}, "");
  EXPECT_THAT(error({{"quantization", {{"bits", 8}}}}, Code::kUnsupported), HasSubstr("a.weight"));
}

TEST(HfQuantization, SchemesThatAreNotReadAreNamed) {
  const auto refused = [](const json& scheme) {
    const auto read = quantization_of_config({{"quantization_config", scheme}}, "config.json");
    EXPECT_FALSE(read.ok()) << scheme;
    if (read.ok()) return std::string();
    EXPECT_EQ(read.error().code(), Code::kUnsupported) << read.error().message();
    EXPECT_THAT(read.error().message(),
                AllOf(HasSubstr("config.json"), HasSubstr("use a GGUF or MLX file of this model")));
    return read.error().message();
  };
  for (const std::string method : {"awq", "gptq", "bitsandbytes", "hqq", "quark", "modelopt"}) {
    EXPECT_THAT(refused({{"quant_method", method}}), HasSubstr(method));
  }
  EXPECT_THAT(refused({{"quant_method", "fp8"}, {"fmt", "e5m2"}}), HasSubstr("e5m2"));
  EXPECT_THAT(refused({{"group_size", 16}, {"bits", 4}, {"mode", "nvfp4"}}), HasSubstr("nvfp4"));
  const auto group = [&](const std::string& format, const json& weights) {
    return refused({{"quant_method", "compressed-tensors"},
                    {"format", format},
                    {"config_groups", {{"group_0", {{"weights", weights}}}}}});
  };
  EXPECT_THAT(group("nvfp4-pack-quantized", {{"num_bits", 4}, {"type", "float"}}),
              HasSubstr("nvfp4-pack-quantized"));
  EXPECT_THAT(group("int-quantized", {{"num_bits", 8}, {"type", "int"}}),
              HasSubstr("int-quantized"));
  EXPECT_THAT(group("pack-quantized", {{"num_bits", 3}, {"type", "int"}}), HasSubstr("int3"));
  EXPECT_THAT(group("marlin-24", {{"num_bits", 4}, {"type", "int"}}), HasSubstr("marlin-24"));
}

TEST(HfQuantization, NumbersAreChecked) {
  const auto corrupt = [](const json& config) {
    const auto read = quantization_of_config(config, "config.json");
    EXPECT_FALSE(read.ok()) << config;
    if (read.ok()) return std::string();
    EXPECT_EQ(read.error().code(), Code::kCorrupt) << read.error().message();
    return read.error().message();
  };
  EXPECT_THAT(corrupt({{"quantization", 4}}), HasSubstr("quantization"));
  EXPECT_THAT(corrupt({{"quantization", {{"bits", 7}}}}), HasSubstr("bits"));
  EXPECT_THAT(corrupt({{"quantization", {{"group_size", 48}}}}), HasSubstr("group_size"));
  EXPECT_THAT(corrupt({{"quantization", {{"a.b", {{"bits", 1}}}}}}),
              AllOf(HasSubstr("a.b"), HasSubstr("bits")));
  EXPECT_THAT(corrupt({{"quantization_config", json::object()}}), HasSubstr("quant_method"));
  const auto block = [](const json& size) {
    return json{{"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", size}}}};
  };
  EXPECT_THAT(corrupt(block({0, 128})), HasSubstr("weight_block_size"));
  EXPECT_THAT(corrupt(block({128})), HasSubstr("weight_block_size"));
  EXPECT_THAT(corrupt(block({1e300, 1.5})), HasSubstr("weight_block_size"));
  EXPECT_THAT(corrupt({{"quantization_config",
                        {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"}}}}),
              HasSubstr("config_groups"));
}

}  // namespace
}  // namespace hearth::engine
