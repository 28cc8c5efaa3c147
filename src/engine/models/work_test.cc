#include "engine/work.h"

#include <gtest/gtest.h>

#include <string>

namespace hearth::engine {
namespace {

std::unique_ptr<ModelFiles> open_model(const std::string& path) {
  return ModelFiles::open(HEARTH_SOURCE_DIR "/" + path).value();
}

WorkCount count_of(const ModelFiles& files, const LoadOptions& options = {}) {
  return WorkCount::create(files, options).value();
}

double packed_bytes(const ModelFiles& files) {
  const auto model =
      RankModel::load(files, {.shard = {0, files.spec().layers}, .threads = 1, .kv_tokens = 64});
  return static_cast<double>((*model)->weights().size());
}

// In 16-bit integers, with a scale for each key and value.
double cached_token_bytes(const ModelSpec& spec) {
  return spec.kv_heads * ((spec.head_dim + spec.value_dim) * 2.0 + 2 * sizeof(float));
}

TEST(WorkCount, CountsADenseModel) {
  const auto files = open_model("models/ember");
  const ModelSpec& spec = files->spec();
  ASSERT_TRUE(spec.tied_embedding);
  const double query = double(spec.heads) * spec.head_dim;
  const double key = double(spec.kv_heads) * spec.head_dim;
  const double layer = spec.hidden * (2 * query + 2 * key) + 3.0 * spec.hidden * spec.ffn;
  const double head = double(spec.vocab) * spec.hidden;
  const double token = query * 2;  // of attention, a layer and a token seen
  const WorkCount count = count_of(*files);
  EXPECT_EQ(count.pass(1, 0, 1, false).multiply_adds, spec.layers * (layer + token));
  EXPECT_EQ(count.pass(1, 0, 1, true).multiply_adds, spec.layers * (layer + token) + head);
  EXPECT_EQ(count.pass(1, 10, 3, false).multiply_adds,
            spec.layers * (3 * layer + (11 + 12 + 13) * token));
  EXPECT_EQ(count.pass(4, 10, 1, true).multiply_adds,
            4 * (spec.layers * (layer + 11 * token) + head));
  const double cached = spec.layers * cached_token_bytes(spec);
  EXPECT_EQ(count.pass(1, 0, 1, true).bytes, packed_bytes(*files) + cached);
  EXPECT_EQ(count.pass(4, 10, 3, true).bytes, packed_bytes(*files) + 4 * 13 * cached);
  EXPECT_EQ(count.pass(1, 0, 1, false).bytes, (layer * spec.layers) * 2 + cached) << "BF16";
}

TEST(WorkCount, APassReadsTheExpertsThatItsRowsTake) {
  const auto files = open_model("tests/golden/gguf/qwen3_moe.gguf");
  const MoeSpec& moe = *files->spec().moe;
  const WorkCount count = count_of(*files);
  const auto weights = [&](int rows) {
    const double kept = files->spec().layers * rows * cached_token_bytes(files->spec());
    return count.pass(1, 0, rows, false).bytes - kept;
  };
  const double all = weights(100000);
  const double one = weights(1);
  const double share = double(moe.used) / moe.experts;
  const double experts = (all - one) / (1 - share);
  EXPECT_GT(experts, 0);
  EXPECT_NEAR(weights(2), all - experts * (1 - share) * (1 - share), 1);
  EXPECT_LT(one, all);
}

TEST(WorkCount, LayersAndHeadMakeThePass) {
  const auto files = open_model("tests/golden/models/deepseek_v3");  // its first layer is plain
  const ModelSpec& spec = files->spec();
  const WorkCount count = count_of(*files);
  Work sum = count.head(2);
  for (int layer = 0; layer < spec.layers; ++layer) sum += count.layer(layer, 2, 10, 3);
  EXPECT_NEAR(sum.bytes, count.pass(2, 10, 3, true).bytes, 1);
  EXPECT_NEAR(sum.multiply_adds, count.pass(2, 10, 3, true).multiply_adds, 1);
  EXPECT_EQ(count.head(2).multiply_adds, 2.0 * spec.vocab * spec.hidden);
  EXPECT_NE(count.layer(0, 1, 0, 1).bytes, count.layer(1, 1, 0, 1).bytes);
  EXPECT_EQ(count.layer(1, 1, 0, 1).bytes, count.layer(2, 1, 0, 1).bytes);
}

TEST(WorkCount, AWindowBoundsWhatIsSeen) {
  const auto files = open_model("tests/golden/models/mistral");
  const ModelSpec& spec = files->spec();
  ASSERT_GT(spec.window, 0);
  const WorkCount count = count_of(*files);
  const Work inside = count.pass(1, 0, 1, false);
  const Work full = count.pass(1, spec.window - 1, 1, false);
  const Work beyond = count.pass(1, 10 * spec.window, 1, false);
  EXPECT_LT(inside.bytes, full.bytes);
  EXPECT_LT(inside.multiply_adds, full.multiply_adds);
  EXPECT_EQ(beyond.bytes, full.bytes);
  EXPECT_EQ(beyond.multiply_adds, full.multiply_adds);
}

TEST(WorkCount, CountsWhatTheOptionsMake) {
  const auto files = open_model("models/ember");
  const Work plain = count_of(*files).pass(1, 100, 1, true);
  const Work rounded = count_of(*files, {.quantize = Quantize::kQ8}).pass(1, 100, 1, true);
  EXPECT_LT(rounded.bytes, 0.7 * plain.bytes);
  EXPECT_EQ(rounded.multiply_adds, plain.multiply_adds);
  const Work exact = count_of(*files, {.precision = Precision::kExact}).pass(1, 100, 1, true);
  EXPECT_GT(exact.bytes, plain.bytes);  // a cache of floats
  EXPECT_EQ(count_of(*files, {.kv = KvType::kF32}).pass(1, 100, 1, true).bytes, exact.bytes);
  EXPECT_LT(count_of(*files, {.kv = KvType::kQ8}).pass(1, 100, 1, true).bytes, plain.bytes);
  EXPECT_FALSE(count_of(*files).quantised());
  EXPECT_TRUE(count_of(*files, {.quantize = Quantize::kQ8}).quantised());
  EXPECT_FALSE(
      count_of(*files, {.precision = Precision::kExact, .quantize = Quantize::kQ8}).quantised());
}

// Every architecture's matrices are counted: what a pass of very many rows reads besides its cache
// and states is what is packed, less the embedding where it is no head.
TEST(WorkCount, EveryMatrixCounts) {
  for (const char* name : {"llama", "deepseek_v3", "gpt_oss", "glm4_moe", "qwen3_next"}) {
    const auto files = open_model(std::string("tests/golden/models/") + name);
    const WorkCount count = count_of(*files);
    const double difference =
        count.pass(1, 0, 100001, true).bytes - count.pass(1, 0, 100000, true).bytes;
    const double weights = count.pass(1, 0, 100000, true).bytes - 100000 * difference;
    double states = 0;
    for (int layer = 0; layer < files->spec().layers; ++layer) {
      if (files->spec().linear(layer)) states += files->spec().delta->state_numbers() * 4.0;
    }
    double embedding = 0;
    for (const ModelTensor& tensor : files->tensors()) {
      if (tensor.layer == ModelTensor::kEmbedding && !files->spec().tied_embedding) {
        embedding += static_cast<double>(tensor.bytes);
      }
    }
    EXPECT_NEAR(weights - states, packed_bytes(*files) - embedding, 0.01 * weights) << name;
  }
}

}  // namespace
}  // namespace hearth::engine
