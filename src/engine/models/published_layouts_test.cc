// The layouts in which the same weights are published: each loads to the same model, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/formats/safetensors.h"
#include "engine/formats/test_files.h"
#include "engine/kernels/numbers.h"
#include "engine/model_files.h"
#include "engine/rank_model.h"

namespace hearth::engine {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A tensor on its way from one file to another.
struct Tensor {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;
  std::string bytes;
};

std::vector<Tensor> read_tensors(const std::string& path) {
  const std::string file = read_file(path);
  const auto parsed = parse_safetensors(bytes_of(file), path);
  EXPECT_TRUE(parsed.ok());
  std::vector<Tensor> tensors;
  for (const FileTensor& tensor : *parsed) {
    tensors.push_back(
        {tensor.name, tensor.type, tensor.shape,
         std::string(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size())});
  }
  return tensors;
}

std::string file_of(const std::vector<Tensor>& tensors) {
  json header = json::object();
  std::string data;
  for (const Tensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.type},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  return safetensors(header.dump(), data);
}

// BF16 numbers plus 1, as F32.
void add_one(Tensor& tensor) {
  std::string sums;
  for (size_t i = 0; i < tensor.bytes.size(); i += 2) {
    uint16_t half;
    std::memcpy(&half, tensor.bytes.data() + i, sizeof half);
    sums += little_endian(kernels::from_bf16(half) + 1);
  }
  tensor.type = "F32";
  tensor.bytes = sums;
}

std::vector<float> logits_of(const std::string& model) {
  const auto files = ModelFiles::open(model);
  EXPECT_TRUE(files.ok()) << files.error().message();
  if (!files.ok()) return {};
  const ModelSpec& spec = (*files)->spec();
  const auto loaded =
      RankModel::load(**files, {.shard = {0, spec.layers}, .threads = 1, .kv_tokens = 64});
  EXPECT_TRUE(loaded.ok()) << loaded.error().message();
  std::vector<int32_t> tokens(20);
  std::iota(tokens.begin(), tokens.end(), 5);
  const std::vector<SequenceRows> sequences = {{.rows = 20}};
  std::vector<float> logits(tokens.size() * spec.vocab);
  const std::vector<int32_t> rows = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                                     10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  EXPECT_TRUE((*loaded)->forward({sequences, tokens, rows}, {}, {}, logits).ok());
  return logits;
}

class PublishedLayouts : public testing::Test {
 protected:
  // Writes the fixture with its config and its tensors edited.
  void write(const std::string& fixture, const std::function<json(json)>& config,
             const std::function<void(Tensor&)>& edit) {
    const std::string source = golden("models/" + fixture);
    std::vector<Tensor> tensors = read_tensors(source + "/model.safetensors");
    for (Tensor& tensor : tensors) edit(tensor);
    folder_.write("model.safetensors", file_of(tensors));
    folder_.write("config.json", config(json::parse(read_file(source + "/config.json"))).dump());
  }
  static json same(json config) { return config; }

  TemporaryFolder folder_;
};

// As Gemma 3's repositories are: the language model inside one that also sees.
TEST_F(PublishedLayouts, LanguageModelInsideALargerOne) {
  write(
      "gemma3_text",
      [](const json& config) {
        return json{{"model_type", "gemma3"}, {"text_config", config}, {"eos_token_id", {1, 106}}};
      },
      [](Tensor& tensor) { tensor.name = "language_model." + tensor.name; });
  EXPECT_EQ(logits_of(folder_.path()), logits_of(golden("models/gemma3_text")));
}

TEST_F(PublishedLayouts, ANameWithThePrefixAndWithoutIsCorrupt) {
  write("gemma3_text", same, [](Tensor& tensor) {
    if (tensor.name == "model.layers.0.input_layernorm.weight") {
      tensor.name = "language_model.model.layers.1.input_layernorm.weight";
    }
  });
  const auto files = ModelFiles::open(folder_.path());
  ASSERT_FALSE(files.ok());
  EXPECT_EQ(files.error().code(), Code::kCorrupt);
  EXPECT_THAT(files.error().message(), AllOf(HasSubstr("model.layers.1.input_layernorm"),
                                             HasSubstr("language_model.model")));
}

// MLX's converter adds the 1 to the norms and turns the convolution around.
TEST_F(PublishedLayouts, Qwen35FromMlx) {
  write("qwen3_5", same, [](Tensor& tensor) {
    constexpr std::string_view kPrefix = "model.language_model.";
    tensor.name = "language_model.model." + tensor.name.substr(kPrefix.size());
    const bool of_gated_norm = tensor.name.find("linear_attn.norm") != std::string::npos;
    if (tensor.name.ends_with("norm.weight") && !of_gated_norm) add_one(tensor);
    if (tensor.name.ends_with("conv1d.weight")) std::swap(tensor.shape[1], tensor.shape[2]);
  });
  EXPECT_EQ(logits_of(folder_.path()), logits_of(golden("models/qwen3_5")));
}

// Draft layers and what sees stay unread.
TEST_F(PublishedLayouts, Qwen35WithMoreThanItsLanguageModel) {
  write("qwen3_5", same, [](Tensor&) {});
  std::vector<Tensor> tensors = read_tensors(folder_.path() + "/model.safetensors");
  for (const std::string name : {"mtp.layers.0.input_layernorm.weight", "mtp.fc.weight",
                                 "model.visual.blocks.0.attn.qkv.weight"}) {
    tensors.push_back({name, "BF16", {4}, std::string(8, '\0')});
  }
  folder_.write("model.safetensors", file_of(tensors));
  EXPECT_EQ(logits_of(folder_.path()), logits_of(golden("models/qwen3_5")));
}

TEST_F(PublishedLayouts, LayerTypesFollowTheInterval) {
  write(
      "qwen3_5",
      [](json config) {
        config["text_config"].erase("layer_types");
        return config;
      },
      [](Tensor&) {});
  EXPECT_EQ(logits_of(folder_.path()), logits_of(golden("models/qwen3_5")));
}

// Each of these would silently give wrong answers if it were ignored.
TEST_F(PublishedLayouts, VariantsThatAreNotComputedAreNamed) {
  const auto error_of = [&](const std::string& fixture, const std::string& key,
                            const json& value) -> Error {
    write(
        fixture,
        [&](json config) {
          (config.contains("text_config") ? config["text_config"] : config)[key] = value;
          return config;
        },
        [](Tensor&) {});
    const auto files = ModelFiles::open(folder_.path());
    EXPECT_FALSE(files.ok());
    return files.ok() ? Error(Code::kInternal, "opened") : files.error();
  };
  const auto unsupported = [&](const std::string& fixture, const std::string& key,
                               const json& value) {
    const Error error = error_of(fixture, key, value);
    EXPECT_EQ(error.code(), Code::kUnsupported) << error.message();
    EXPECT_THAT(error.message(), HasSubstr("config.json"));
    return std::string(error.message());
  };
  EXPECT_THAT(unsupported("minimax_m2", "scoring_func", "softmax"), HasSubstr("softmax"));
  EXPECT_THAT(unsupported("minimax_m2", "qk_norm_type", "per_head"), HasSubstr("per_head"));
  EXPECT_THAT(unsupported("minimax_m2", "shared_intermediate_size", 64),
              HasSubstr("shared_intermediate_size"));
  EXPECT_THAT(unsupported("minimax_m2", "attn_type_list", {0, 1}), HasSubstr("attn_type_list"));
  EXPECT_THAT(
      unsupported("qwen3_5", "layer_types",
                  {"linear_attention", "full_attention", "linear_attention", "chunked_attention"}),
      HasSubstr("chunked_attention"));

  const auto corrupt = [&](const std::string& key, const json& value) {
    const Error error = error_of("qwen3_5", key, value);
    EXPECT_EQ(error.code(), Code::kCorrupt) << error.message();
    return std::string(error.message());
  };
  EXPECT_THAT(corrupt("linear_num_value_heads", 5), HasSubstr("multiple of the 2 key heads"));
  EXPECT_THAT(corrupt("linear_key_head_dim", 0), HasSubstr("linear_key_head_dim"));
  EXPECT_THAT(corrupt("linear_conv_kernel_dim", 1 << 20), HasSubstr("width of the convolution"));
  EXPECT_THAT(corrupt("layer_types", {"full_attention"}), HasSubstr("layer_types"));
  // Sane by themselves, but not what the tensors say.
  EXPECT_THAT(corrupt("linear_conv_kernel_dim", 3), HasSubstr("conv1d"));
  EXPECT_THAT(corrupt("linear_value_head_dim", 16), HasSubstr("in_proj_qkv"));
}

}  // namespace
}  // namespace hearth::engine
