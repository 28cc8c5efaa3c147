// Whole models whose experts are stacked and quantised, as published for MLX and by the authors of
// gpt-oss, and one whose latent attention is, against the same models with the same numbers as
// floats.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "engine/formats/safetensors.h"
#include "engine/formats/test_files.h"
#include "engine/kernels/layout.h"
#include "engine/kernels/numbers.h"
#include "engine/rank_model.h"

namespace hearth::engine {
namespace {

using nlohmann::json;
using Shape = std::vector<int64_t>;

struct Tensor {
  std::string type;
  Shape shape;
  std::string bytes;
};
using Tensors = std::map<std::string, Tensor>;

template <class T>
Tensor tensor(const std::string& type, const Shape& shape, const std::vector<T>& values) {
  return {type, shape,
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

Tensors read_tensors(const std::string& path) {
  const std::string file = read_file(path);
  const auto parsed = parse_safetensors(bytes_of(file), path);
  EXPECT_TRUE(parsed.ok());
  Tensors tensors;
  for (const FileTensor& t : *parsed) {
    const std::string_view bytes(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
    tensors[t.name] = {t.type, t.shape, std::string(bytes)};
  }
  return tensors;
}

class QuantisedExperts : public ::testing::Test {
 protected:
  // The logits of 16 tokens, float32 throughout, of a directory with this config and weights.
  std::vector<float> logits(const json& config, const Tensors& tensors) {
    const TemporaryFolder folder;
    json header = json::object();
    std::string data;
    for (const auto& [name, t] : tensors) {
      header[name] = {{"dtype", t.type},
                      {"shape", t.shape},
                      {"data_offsets", {data.size(), data.size() + t.bytes.size()}}};
      data += t.bytes;
    }
    folder.write("model.safetensors", safetensors(header.dump(), data));
    folder.write("config.json", config.dump());
    const auto files = ModelFiles::open(folder.path());
    EXPECT_TRUE(files.ok()) << files.error().message();
    if (!files.ok()) return {};
    const ModelSpec& spec = (*files)->spec();
    auto model = RankModel::load(
        **files, {.shard = {0, spec.layers}, .precision = Precision::kExact, .threads = 2});
    EXPECT_TRUE(model.ok()) << model.error().message();
    if (!model.ok()) return {};
    packed_bytes_ = static_cast<int64_t>((*model)->weights().size());
    std::vector<int32_t> tokens(16);
    std::iota(tokens.begin(), tokens.end(), 7);
    std::vector<int32_t> rows(tokens.size());
    std::iota(rows.begin(), rows.end(), 0);
    const std::vector<SequenceRows> sequences = {{.slot = 0, .position = 0, .rows = 16}};
    std::vector<float> out(tokens.size() * spec.vocab);
    const auto done = (*model)->forward({sequences, tokens, rows}, {}, {}, out);
    EXPECT_TRUE(done.ok()) << done.error().message();
    return out;
  }

  static void expect_same(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    float apart = 0;
    float largest = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      apart = std::max(apart, std::fabs(a[i] - b[i]));
      largest = std::max(largest, std::fabs(a[i]));
    }
    EXPECT_LT(apart, 1e-4f);
    EXPECT_GT(largest, 0.1f);
  }

  std::vector<uint8_t> random_bytes(int64_t count) {
    std::vector<uint8_t> bytes(count);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
    return bytes;
  }

  std::mt19937 random_{7};
  int64_t packed_bytes_ = 0;  // of the model that gave the latest logits
};

// [experts, inputs, outputs] in BF16 becomes blocks [experts, outputs, inputs / 32, 16].
TEST_F(QuantisedExperts, OfGptOss) {
  json config = json::parse(read_file(golden("models/gpt_oss/config.json")));
  Tensors floats = read_tensors(golden("models/gpt_oss/model.safetensors"));
  Tensors blocks = floats;
  for (auto& [name, t] : floats) {
    if (!name.ends_with("_proj") || t.shape.size() != 3) continue;
    const auto [experts, inputs, outputs] = std::array{t.shape[0], t.shape[1], t.shape[2]};
    const std::vector<uint8_t> codes = random_bytes(experts * outputs * inputs / 2);
    const std::vector<uint8_t> scales(codes.size() / 16, 127 - 5);
    std::vector<uint16_t> numbers(experts * inputs * outputs);
    for (int64_t i = 0; i < static_cast<int64_t>(numbers.size()); ++i) {
      const int64_t in = i % inputs;
      const int64_t out = i / inputs % outputs;
      const int64_t expert = i / inputs / outputs;
      const int code = codes[i / 2] >> (i % 2 * 4) & 15;
      const float number = static_cast<float>(kernels::kE2M1Values[code]) / 64;  // halves, 2^-5
      numbers[(expert * inputs + in) * outputs + out] = kernels::to_bf16(number);
    }
    t = tensor("BF16", t.shape, numbers);
    blocks.erase(name);
    blocks[name + "_blocks"] = tensor("U8", {experts, outputs, inputs / 32, 16}, codes);
    blocks[name + "_scales"] = tensor("U8", {experts, outputs, inputs / 32}, scales);
  }
  ASSERT_GT(blocks.size(), floats.size());
  const std::vector<float> expected = logits(config, floats);
  config["quantization_config"] = {{"quant_method", "mxfp4"}};
  expect_same(logits(config, blocks), expected);
}

// Experts of a tensor each become one of 4-bit numbers for all.
TEST_F(QuantisedExperts, OfMlx) {
  json config = json::parse(read_file(golden("models/qwen3_moe/config.json")));
  Tensors floats = read_tensors(golden("models/qwen3_moe/model.safetensors"));
  Tensors stacked = floats;
  const int64_t experts = config["num_experts"].get<int64_t>();
  constexpr int64_t kGroupSize = 64;
  for (auto& [name, t] : floats) {
    const size_t at = name.find(".experts.0.");
    if (at == std::string::npos) continue;
    const std::string prefix = name.substr(0, at);
    const std::string projection = name.substr(at + 11, name.size() - at - 11 - 7);
    const int64_t rows = t.shape[0];
    const int64_t columns = t.shape[1];
    const std::vector<uint8_t> codes = random_bytes(experts * rows * columns / 2);
    const std::vector<float> scales(experts * rows * columns / kGroupSize, 0.01f);
    const std::vector<float> biases(scales.size(), -0.075f);
    for (int64_t e = 0; e < experts; ++e) {
      std::vector<float> numbers(rows * columns);
      for (int64_t i = 0; i < rows * columns; ++i) {
        const int64_t k = e * rows * columns + i;
        const int code = codes[k / 2] >> (k % 2 * 4) & 15;
        numbers[i] = scales[0] * static_cast<float>(code) + biases[0];
      }
      const std::string own = prefix + ".experts." + std::to_string(e) + "." + projection;
      floats.at(own + ".weight") = tensor("F32", {rows, columns}, numbers);
      stacked.erase(own + ".weight");
    }
    const std::string module = prefix + ".switch_mlp." + projection;
    stacked[module + ".weight"] = tensor("U32", {experts, rows, columns / 8}, codes);
    const Shape groups = {experts, rows, columns / kGroupSize};
    stacked[module + ".scales"] = tensor("F32", groups, scales);
    stacked[module + ".biases"] = tensor("F32", groups, biases);
  }
  ASSERT_LT(stacked.size(), floats.size());
  const std::vector<float> expected = logits(config, floats);
  config["quantization"] = {{"group_size", kGroupSize}, {"bits", 4}};
  expect_same(logits(config, stacked), expected);
}

// The keys' half of kv_b is multiplied with transposed.
TEST_F(QuantisedExperts, BesideQuantisedLatentAttention) {
  json config = json::parse(read_file(golden("models/deepseek_v3/config.json")));
  Tensors floats = read_tensors(golden("models/deepseek_v3/model.safetensors"));
  Tensors quantised = floats;
  constexpr int64_t kGroupSize = 32;
  int64_t count = 0;  // of quantised numbers
  for (auto& [name, t] : floats) {
    if (!name.ends_with("kv_b_proj.weight")) continue;
    const int64_t rows = t.shape[0];
    const int64_t columns = t.shape[1];
    count += rows * columns;
    const std::vector<uint8_t> codes = random_bytes(rows * columns / 2);
    std::vector<float> scales(rows * columns / kGroupSize);
    std::vector<float> biases(scales.size());
    for (size_t i = 0; i < scales.size(); ++i) {
      scales[i] = 0.01f * static_cast<float>(1 + i % 7);
      biases[i] = -8 * scales[i];
    }
    std::vector<float> numbers(rows * columns);
    for (int64_t i = 0; i < rows * columns; ++i) {
      const int code = codes[i / 2] >> (i % 2 * 4) & 15;
      numbers[i] = scales[i / kGroupSize] * static_cast<float>(code) + biases[i / kGroupSize];
    }
    t = tensor("F32", t.shape, numbers);
    const std::string module = name.substr(0, name.rfind('.'));
    quantised[name] = tensor("U32", {rows, columns / 8}, codes);
    quantised[module + ".scales"] = tensor("F32", {rows, columns / kGroupSize}, scales);
    quantised[module + ".biases"] = tensor("F32", {rows, columns / kGroupSize}, biases);
  }
  ASSERT_GT(count, 0);
  const std::vector<float> expected = logits(config, floats);
  const int64_t float_bytes = packed_bytes_;
  config["quantization"] = {{"group_size", kGroupSize}, {"bits", 4}};
  expect_same(logits(config, quantised), expected);
  // 4 bits and their share of a scale and a bias, instead of 32 bits.
  EXPECT_EQ(packed_bytes_, float_bytes - count * (32 - 6) / 8);
}

}  // namespace
}  // namespace hearth::engine
