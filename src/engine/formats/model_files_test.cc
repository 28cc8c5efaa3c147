#include "engine/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "engine/formats/safetensors.h"
#include "engine/formats/test_files.h"

namespace hearth::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<ModelFiles> open(const std::string& path) {
  auto files = ModelFiles::open(path);
  EXPECT_TRUE(files.ok()) << files.error().message();
  return files.ok() ? std::move(*files) : nullptr;
}

std::string error_of(const std::string& path, Code code) {
  const auto files = ModelFiles::open(path);
  EXPECT_FALSE(files.ok());
  if (files.ok()) return {};
  EXPECT_EQ(files.error().code(), code) << files.error().message();
  return files.error().message();
}

// The same model from both kinds of file: same spec but for what the formats store differently,
// same bytes.
class BothFormats : public ::testing::TestWithParam<std::string> {};

TEST_P(BothFormats, Agree) {
  const auto hf = open(golden("models/" + GetParam()));
  const auto gguf = open(golden("gguf/" + GetParam() + ".gguf"));
  ASSERT_TRUE(hf && gguf);
  const ModelSpec& a = hf->spec();
  const ModelSpec& b = gguf->spec();
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.architecture_name, GetParam());
  EXPECT_EQ(b.architecture_name, GetParam());
  for (const auto field :
       {&ModelSpec::layers, &ModelSpec::hidden, &ModelSpec::ffn, &ModelSpec::heads,
        &ModelSpec::kv_heads, &ModelSpec::head_dim, &ModelSpec::vocab, &ModelSpec::context}) {
    EXPECT_EQ(a.*field, b.*field);
  }
  EXPECT_EQ(a.norm_epsilon, b.norm_epsilon);
  EXPECT_EQ(a.tied_embedding, b.tied_embedding);
  EXPECT_EQ(a.attention_bias, b.attention_bias);
  EXPECT_EQ(a.qk_norm, b.qk_norm);
  EXPECT_EQ(a.rope.theta, b.rope.theta);
  EXPECT_EQ(a.eos_ids, b.eos_ids);
  EXPECT_EQ(a.bos_id, b.bos_id);
  EXPECT_EQ(hf->main_encoding(), "BF16");
  EXPECT_EQ(gguf->main_encoding(), "BF16");
  for (const std::string name :
       {"model.embed_tokens.weight", "model.layers.1.self_attn.v_proj.weight",
        "model.layers.1.self_attn.o_proj.weight", "model.layers.2.mlp.down_proj.weight",
        "model.layers.2.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"}) {
    const auto from_hf = hf->tensor(name);
    const auto from_gguf = gguf->tensor(name);
    ASSERT_TRUE(from_hf.ok() && from_gguf.ok()) << name;
    EXPECT_EQ(from_hf->rows, from_gguf->rows) << name;
    EXPECT_EQ(from_hf->columns, from_gguf->columns) << name;
    EXPECT_TRUE(std::ranges::equal(from_hf->bytes, from_gguf->bytes)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, BothFormats, ::testing::Values("llama", "qwen2", "qwen3"),
                         [](const auto& info) { return info.param; });

TEST(ModelFiles, ReadsLlamaFromShards) {
  const auto files = open(golden("models/llama"));
  ASSERT_TRUE(files);
  const ModelSpec& spec = files->spec();
  EXPECT_EQ(spec.name, "llama");
  EXPECT_EQ(spec.layers, 3);
  EXPECT_EQ(spec.hidden, 128);
  EXPECT_EQ(spec.heads, 4);
  EXPECT_EQ(spec.kv_heads, 2);
  EXPECT_EQ(spec.head_dim, 32);
  EXPECT_EQ(spec.vocab, 320);
  EXPECT_FALSE(spec.tied_embedding);
  EXPECT_FALSE(spec.rope.interleaved);
  EXPECT_EQ(spec.rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(spec.rope.theta, 500000.0);
  EXPECT_EQ(spec.rope.factor, 8.0);
  EXPECT_EQ(spec.rope.original_context, 64);
  EXPECT_THAT(spec.eos_ids, ElementsAre(2));
  EXPECT_TRUE(files->has_tensor("model.layers.2.mlp.down_proj.weight"));
  EXPECT_FALSE(files->has_tensor("model.layers.3.mlp.down_proj.weight"));
  const auto missing = files->tensor("nothing");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_THAT(missing.error().message(), AllOf(HasSubstr("nothing"), HasSubstr("models/llama")));
}

TEST(ModelFiles, ReadsLlamaRopeFromGguf) {
  const auto files = open(golden("gguf/llama.gguf"));
  ASSERT_TRUE(files);
  const RopeSpec& rope = files->spec().rope;
  EXPECT_TRUE(rope.interleaved);
  EXPECT_EQ(rope.scaling, RopeScaling::kNone);
  ASSERT_EQ(rope.frequency_divisors.size(), 16u);
  EXPECT_EQ(rope.frequency_divisors.front(), 1.0f);  // fast pairs turn as they did
  EXPECT_EQ(rope.frequency_divisors.back(), 8.0f);   // slow ones are stretched by the factor
  EXPECT_FALSE(files->has_tensor("rope_freqs.weight"));
  EXPECT_EQ(files->bos_token(), "<|special_1|>");
  EXPECT_EQ(files->eos_token(), "<|special_2|>");
  EXPECT_FALSE(open(golden("gguf/qwen2.gguf"))->spec().rope.interleaved);
}

TEST(ModelFiles, ReadsQwenOptions) {
  const auto qwen2 = open(golden("models/qwen2"));
  const auto qwen3 = open(golden("models/qwen3"));
  ASSERT_TRUE(qwen2 && qwen3);
  EXPECT_TRUE(qwen2->spec().attention_bias);
  EXPECT_FALSE(qwen2->spec().qk_norm);
  EXPECT_TRUE(qwen2->spec().tied_embedding);
  EXPECT_FALSE(qwen3->spec().attention_bias);
  EXPECT_TRUE(qwen3->spec().qk_norm);
  EXPECT_EQ(qwen3->spec().head_dim, 64);  // not hidden / heads
  EXPECT_EQ(qwen3->spec().norm_epsilon, 1e-6f);
}

TEST(ModelFiles, NamesTheEncoding) {
  for (const std::string name : {"F16", "BF16", "Q8_0"}) {
    const auto files = open(golden("encodings/llama-" + name + ".gguf"));
    ASSERT_TRUE(files);
    EXPECT_EQ(files->main_encoding(), name);
    const auto tensor = files->tensor("model.layers.0.mlp.down_proj.weight");
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(to_string(tensor->encoding), name);
    EXPECT_EQ(static_cast<int64_t>(tensor->bytes.size()), tensor->rows * tensor->columns /
                                                              block_elements(tensor->encoding) *
                                                              block_bytes(tensor->encoding));
  }
}

TEST(ModelFiles, UnknownEncodingNamesTensorAndType) {
  // The head of this file is Q6_K, number 14; IQ3_S is 21 and smaller.
  std::string file = read_file(golden("encodings/llama-Q4_0.gguf"));
  const size_t type = file.find("output.weight") + 13 + 4 + 2 * 8;  // after name and dimensions
  ASSERT_EQ(file[type], 14);
  file[type] = 21;
  const TemporaryFolder folder;
  EXPECT_THAT(error_of(folder.write("m.gguf", file), Code::kUnsupported),
              AllOf(HasSubstr("m.gguf"), HasSubstr("output.weight"), HasSubstr("IQ3_S")));
}

TEST(ModelFiles, ShardBytesAddUp) {
  const auto untied = open(golden("models/llama"));
  const auto tied = open(golden("models/qwen2"));
  ASSERT_TRUE(untied && tied);
  EXPECT_EQ(untied->shard_bytes({0, 3}), 1050368);  // total_size of the index
  EXPECT_EQ(untied->shard_bytes({0, 1}) + untied->shard_bytes({1, 3}), 1050368);
  const int64_t layer = untied->shard_bytes({1, 2});
  EXPECT_EQ(untied->shard_bytes({0, 1}) - layer, 320 * 128 * 2);          // the embedding
  EXPECT_EQ(untied->shard_bytes({2, 3}) - layer, (320 * 128 + 128) * 2);  // the head and its norm
  // A tied head is the embedding: one rank holds it once, two ranks hold it twice.
  EXPECT_EQ(tied->shard_bytes({0, 1}) + tied->shard_bytes({1, 3}) - tied->shard_bytes({0, 3}),
            320 * 128 * 2);
}

TEST(ModelFiles, MissingPathsAreNotFound) {
  EXPECT_THAT(error_of("/no/such/model.gguf", Code::kNotFound), HasSubstr("/no/such/model.gguf"));
  const TemporaryFolder folder;
  EXPECT_THAT(error_of(folder.path(), Code::kNotFound), HasSubstr("config.json"));
}

// A folder with the qwen3 fixture, of which single files are replaced.
class EditedModel : public ::testing::Test {
 protected:
  EditedModel() {
    source_ = golden("models/qwen3");
    config_ = nlohmann::json::parse(read_file(source_ + "/config.json"));
    std::filesystem::create_symlink(source_ + "/model.safetensors",
                                    folder_.path() + "/model.safetensors");
    write_config();
  }

  void write_config() { folder_.write("config.json", config_.dump()); }
  std::string corrupt() { return error_of(folder_.path(), Code::kCorrupt); }

  TemporaryFolder folder_;
  std::string source_;
  nlohmann::json config_;
};

TEST_F(EditedModel, NewerConfigKeys) {
  config_.erase("rope_theta");
  config_.erase("rope_scaling");
  config_.erase("torch_dtype");
  config_["dtype"] = "bfloat16";
  config_["rope_parameters"] = {
      {"rope_type", "llama3"},   {"rope_theta", 7e5},
      {"factor", 4.0},           {"low_freq_factor", 1.5},
      {"high_freq_factor", 3.0}, {"original_max_position_embeddings", 99}};
  write_config();
  const auto files = open(folder_.path());
  ASSERT_TRUE(files);
  const RopeSpec& rope = files->spec().rope;
  EXPECT_EQ(rope.theta, 7e5);
  EXPECT_EQ(rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(rope.factor, 4.0);
  EXPECT_EQ(rope.low_freq_factor, 1.5);
  EXPECT_EQ(rope.high_freq_factor, 3.0);
  EXPECT_EQ(rope.original_context, 99);
}

TEST_F(EditedModel, LinearRopeInTheOldSpelling) {
  config_["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  write_config();
  const auto files = open(folder_.path());
  ASSERT_TRUE(files);
  EXPECT_EQ(files->spec().rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(files->spec().rope.factor, 2.0);
}

TEST_F(EditedModel, WhatCannotBeComputedIsNamed) {
  const auto refused = [&](const nlohmann::json& patch) {
    nlohmann::json config = config_;
    config.merge_patch(patch);
    folder_.write("config.json", config.dump());
    return error_of(folder_.path(), Code::kUnsupported);
  };
  EXPECT_THAT(refused({{"model_type", "mamba"}}), HasSubstr("mamba"));
  EXPECT_THAT(refused({{"hidden_act", "gelu"}}), HasSubstr("gelu"));
  EXPECT_THAT(refused({{"rope_scaling", {{"rope_type", "mrope"}, {"factor", 2}}}}),
              HasSubstr("mrope"));
  EXPECT_THAT(refused({{"mlp_bias", true}}), HasSubstr("mlp_bias"));
  EXPECT_THAT(refused({{"quantization_config", {{"quant_method", "awq"}}}}),
              AllOf(HasSubstr("quantization_config"), HasSubstr("awq"), HasSubstr("GGUF or MLX")));
}

TEST_F(EditedModel, SizesAreChecked) {
  const auto refused = [&](const std::string& key, const nlohmann::json& value) {
    nlohmann::json config = config_;
    config[key] = value;
    folder_.write("config.json", config.dump());
    return corrupt();
  };
  for (const char* key :
       {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (const nlohmann::json& value :
         {nlohmann::json(0), nlohmann::json(-1), nlohmann::json("128"), nlohmann::json(1.5),
          nlohmann::json(INT32_MAX), nlohmann::json(INT64_MAX)}) {
      EXPECT_THAT(refused(key, value), HasSubstr("config.json")) << key << " " << value;
    }
  }
  EXPECT_THAT(refused("num_key_value_heads", 3), HasSubstr("multiple of the 3"));
  EXPECT_THAT(refused("head_dim", 63), HasSubstr("even"));
  EXPECT_THAT(refused("rms_norm_eps", 0), HasSubstr("epsilon"));
  EXPECT_THAT(refused("rope_theta", -1), HasSubstr("rope"));
  EXPECT_THAT(refused("eos_token_id", 320), HasSubstr("320"));
  EXPECT_THAT(refused("eos_token_id", {1, "x"}), HasSubstr("eos_token_id"));
  EXPECT_THAT(refused("tie_word_embeddings", 1), HasSubstr("tie_word_embeddings"));
  // Sane by themselves, but not what the tensors say.
  EXPECT_THAT(refused("vocab_size", 321), HasSubstr("expected 321 x 128"));
  EXPECT_THAT(refused("attention_bias", true), HasSubstr("q_proj.bias is missing"));
  EXPECT_THAT(refused("intermediate_size", 128), HasSubstr("gate_proj"));
  EXPECT_THAT(refused("num_hidden_layers", 4), HasSubstr("model.layers.3"));
}

TEST_F(EditedModel, TensorsWithoutAPlaceAreRefused) {
  config_["num_hidden_layers"] = 2;
  write_config();
  EXPECT_THAT(error_of(folder_.path(), Code::kUnsupported), HasSubstr("model.layers.2"));
}

TEST_F(EditedModel, HeadIsTiedWhenItIsAbsent) {
  config_["tie_word_embeddings"] = false;
  write_config();
  const auto files = open(folder_.path());
  ASSERT_TRUE(files);
  EXPECT_TRUE(files->spec().tied_embedding);
}

TEST_F(EditedModel, EndsAreTakenFromGenerationConfigAndTokenizer) {
  folder_.write("generation_config.json", R"({"eos_token_id":[7,8]})");
  folder_.write("tokenizer_config.json",
                R"({"eos_token":{"content":"<end>"},"bos_token":"<begin>"})");
  folder_.write("tokenizer.json", R"({"added_tokens":[{"id":9,"content":"<end>"}],"model":{}})");
  const auto files = open(folder_.path());
  ASSERT_TRUE(files);
  EXPECT_THAT(files->spec().eos_ids, ElementsAre(7, 8, 9));
  EXPECT_EQ(files->eos_token(), "<end>");
  EXPECT_EQ(files->bos_token(), "<begin>");
  folder_.write("tokenizer_config.json",
                R"({"eos_token":"<e>","added_tokens_decoder":{"11":{"content":"<e>"}}})");
  EXPECT_THAT(open(folder_.path())->spec().eos_ids, ElementsAre(7, 8, 11));
}

TEST_F(EditedModel, ChatTemplateInEachOfItsPlaces) {
  EXPECT_EQ(open(folder_.path())->chat_template(), "");
  folder_.write("tokenizer_config.json", R"({"chat_template":"one"})");
  EXPECT_EQ(open(folder_.path())->chat_template(), "one");
  folder_.write("tokenizer_config.json",
                R"({"chat_template":[{"name":"tool_use","template":"no"},
                                     {"name":"default","template":"two"}]})");
  EXPECT_EQ(open(folder_.path())->chat_template(), "two");
  folder_.write("chat_template.jinja", "three");
  EXPECT_EQ(open(folder_.path())->chat_template(), "three");
  folder_.write("tokenizer_config.json", R"({"chat_template":7})");
  EXPECT_THAT(corrupt(), HasSubstr("chat_template"));
}

TEST_F(EditedModel, HostileConfigsAreRefused) {
  folder_.write("config.json", std::string(3'000'000, '['));
  EXPECT_THAT(corrupt(), HasSubstr("nesting"));
  folder_.write("config.json", "[]");
  EXPECT_THAT(corrupt(), HasSubstr("expected an object"));
  folder_.write("config.json", "");
  EXPECT_THAT(corrupt(), HasSubstr("config.json"));
}

TEST_F(EditedModel, IndexStaysInItsFolder) {
  const auto refused = [&](const std::string& file) {
    folder_.write("model.safetensors.index.json",
                  R"({"weight_map":{"model.norm.weight":")" + file + "\"}}");
    return error_of(folder_.path(), Code::kCorrupt);
  };
  EXPECT_THAT(refused("../other/model.safetensors"), HasSubstr("model.norm.weight"));
  EXPECT_THAT(refused("/etc/passwd"), HasSubstr("model.norm.weight"));
  EXPECT_THAT(refused("config.json"), HasSubstr("model.norm.weight"));
  folder_.write("model.safetensors.index.json",
                R"({"weight_map":{"no.such":"model.safetensors"}})");
  EXPECT_THAT(corrupt(), AllOf(HasSubstr("no.such"), HasSubstr("model.safetensors")));
  folder_.write("model.safetensors.index.json", R"({"weight_map":{"a":"gone.safetensors"}})");
  EXPECT_THAT(error_of(folder_.path(), Code::kNotFound), HasSubstr("gone.safetensors"));
}

class WrittenGguf : public ::testing::Test {
 protected:
  std::string write(const GgufBuilder& builder) { return folder_.write("m.gguf", builder.build()); }

  TemporaryFolder folder_;
};

TEST_F(WrittenGguf, BareFileWithoutTokenizerOpens) {
  const auto files = open(write(tiny_llama(2, 18)));
  ASSERT_TRUE(files);
  EXPECT_EQ(files->main_encoding(), "Q4_0");
  EXPECT_EQ(files->spec().vocab, 8);
  EXPECT_EQ(files->spec().kv_heads, 2);
  EXPECT_EQ(files->spec().head_dim, 16);
  EXPECT_TRUE(files->spec().tied_embedding);
  EXPECT_TRUE(files->spec().eos_ids.empty());
  EXPECT_EQ(files->spec().bos_id, -1);
  EXPECT_EQ(files->chat_template(), "");
  EXPECT_EQ(files->eos_token(), "");
}

TEST_F(WrittenGguf, ReadsTokenizerFacts) {
  GgufBuilder builder = tiny_llama(0, 128);
  builder.add_texts("tokenizer.ggml.tokens",
                    {"a", "<s>", "<e>", "<|eot_id|>", "<|im_end|>", "x", "y", "z"});
  builder.add_ints("tokenizer.ggml.token_type", {1, 3, 3, 3, 1, 1, 1, 1});
  builder.add_int("tokenizer.ggml.bos_token_id", 1);
  builder.add_int("tokenizer.ggml.eos_token_id", 2);
  builder.add_int("tokenizer.ggml.eom_token_id", 5);
  builder.add_text("tokenizer.chat_template", "{{ hi }}");
  const auto files = open(write(builder));
  ASSERT_TRUE(files);
  EXPECT_THAT(files->spec().eos_ids, ElementsAre(2, 5, 3));  // <|im_end|> is no control token here
  EXPECT_EQ(files->spec().bos_id, 1);
  EXPECT_EQ(files->bos_token(), "<s>");
  EXPECT_EQ(files->eos_token(), "<e>");
  EXPECT_EQ(files->chat_template(), "{{ hi }}");
}

TEST_F(WrittenGguf, WhatCannotBeComputedIsNamed) {
  const auto refused = [&](const std::function<void(GgufBuilder&)>& edit) {
    GgufBuilder builder = tiny_llama(0, 128);
    edit(builder);
    return error_of(write(builder), Code::kUnsupported);
  };
  EXPECT_THAT(refused([](auto& b) { b.add_int("llama.expert_count", 8); }), HasSubstr("expert"));
  EXPECT_THAT(refused([](auto& b) { b.add_text("general.type", "adapter"); }),
              HasSubstr("adapter"));
  EXPECT_THAT(refused([](auto& b) { b.add_text("llama.rope.scaling.type", "mrope"); }),
              HasSubstr("mrope"));
  EXPECT_THAT(refused([](auto& b) { b.add_tensor("blk.0.attn_q_norm.weight", {16}, 0, 64); }),
              HasSubstr("q_norm"));
  EXPECT_THAT(refused([](auto& b) { b.add_tensor("blk.0.ssm_in.weight", {32}, 0, 128); }),
              HasSubstr("blk.0.ssm_in.weight"));
  EXPECT_THAT(refused([](auto& b) {
                b.values[0] = GgufBuilder::text("general.architecture") +
                              little_endian<uint32_t>(8) + GgufBuilder::text("mamba");
              }),
              HasSubstr("mamba"));
}

TEST_F(WrittenGguf, MetadataMustAgreeWithTensors) {
  const auto refused = [&](const std::function<void(GgufBuilder&)>& edit) {
    GgufBuilder builder = tiny_llama(0, 128);
    edit(builder);
    return error_of(write(builder), Code::kCorrupt);
  };
  EXPECT_THAT(refused([](auto& b) { b.add_int("llama.vocab_size", 9); }),
              HasSubstr("model.embed_tokens.weight is 8 x 32, expected 9 x 32"));
  EXPECT_THAT(refused([](auto& b) { b.add_int("llama.rope.dimension_count", 18); }),
              HasSubstr("rotated dimensions is 18"));
  EXPECT_THAT(refused([](auto& b) { b.add_tensor("blk.0.attn_q.bias", {32}, 0, 128); }),
              HasSubstr("k_proj.bias is missing"));
  EXPECT_THAT(refused([](auto& b) { b.tensors.pop_back(); }), HasSubstr("down_proj"));
  EXPECT_THAT(refused([](auto& b) { b.add_tensor("rope_freqs.weight", {4}, 0, 16); }),
              HasSubstr("rope_freqs.weight: expected 8 numbers"));
  EXPECT_THAT(refused([](auto& b) { b.add_tensor("rope_freqs.weight", {8}, 0, 32); }),
              HasSubstr("divisors must be positive"));
  EXPECT_THAT(refused([](auto& b) { b.add_int("tokenizer.ggml.eos_token_id", 8); }),
              HasSubstr("end-of-sequence id is 8"));
  EXPECT_THAT(refused([](auto& b) { b.add_int("llama.attention.head_count_kv", 0); }),
              HasSubstr("head_count_kv"));
  EXPECT_THAT(refused([](auto& b) {
                b.add_ints("llama.attention.head_count_kv", {1, 2});
              }),
              HasSubstr("head_count_kv"));
}

}  // namespace
}  // namespace hearth::engine
