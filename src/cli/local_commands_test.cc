// The commands that need no daemon, as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "cli/test_program.h"
#include "daemon/kept_times.h"
#include "daemon/model_catalog.h"
#include "daemon/runner/child_process.h"
#include "fabric/transport.h"

namespace hearth::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string golden(const std::string& file) { return HEARTH_SOURCE_DIR "/tests/golden/" + file; }

std::vector<std::string> local_transports() {
  std::vector<std::string> names{"tcp"};
  for (const std::string& name : fabric::transport_names()) {
    if (name == "ucx") names.insert(names.end(), {"ucx", "shm"});
  }
  return names;
}

std::string joined(const std::vector<int64_t>& ids) {
  std::string text;
  for (const int64_t id : ids) {
    if (!text.empty()) text.push_back(',');
    text.append(std::to_string(id));
  }
  return text;
}

// A tensor of a safetensors file.
template <class T>
std::vector<T> tensor(const std::string& file, const std::string& name) {
  const std::string bytes = read_file(file);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  const json header = json::parse(bytes.substr(8, header_bytes));
  const auto offsets = header[name]["data_offsets"].get<std::vector<size_t>>();
  std::vector<T> values((offsets[1] - offsets[0]) / sizeof(T));
  std::memcpy(values.data(), bytes.data() + 8 + header_bytes + offsets[0],
              values.size() * sizeof(T));
  return values;
}

TEST(InspectTest, TellsSizesMemoryAndCuts) {
  const Ran ran = run_hearth({"inspect", golden("models/qwen3_moe"), "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json model = json::parse(ran.out);
  const json config = json::parse(read_file(golden("models/qwen3_moe/config.json")));
  EXPECT_EQ(model["architecture"], "qwen3_moe");
  EXPECT_EQ(model["encoding"], "BF16");
  EXPECT_EQ(model["layers"], config["num_hidden_layers"]);
  EXPECT_EQ(model["context"], config["max_position_embeddings"]);
  EXPECT_EQ(model["experts"], config["num_experts"]);
  const auto parameters = model["parameters"].get<int64_t>();
  EXPECT_EQ(model["weight_bytes"], 2 * parameters);
  EXPECT_LT(model["active_parameters"].get<int64_t>(), parameters);

  int64_t bytes = 0;
  json experts;
  for (const json& group : model["tensors"]) {
    bytes += group["bytes"].get<int64_t>();
    if (group["group"] == "experts") experts = group;
  }
  EXPECT_EQ(bytes, 2 * parameters);
  EXPECT_EQ(experts["parameters"], config["num_hidden_layers"].get<int64_t>() *
                                       config["num_experts"].get<int64_t>() * 3 *
                                       config["hidden_size"].get<int64_t>() *
                                       config["moe_intermediate_size"].get<int64_t>());

  // A key and a value of every layer and head: 16-bit numbers and a scale each.
  const json& longest = model["memory"].back();
  EXPECT_EQ(longest["tokens"], config["max_position_embeddings"]);
  EXPECT_EQ(longest["cache_bytes"], longest["tokens"].get<int64_t>() *
                                        config["num_hidden_layers"].get<int64_t>() *
                                        config["num_key_value_heads"].get<int64_t>() * 2 *
                                        (config["head_dim"].get<int64_t>() * 2 + 4));
  const json q8 =
      json::parse(run_hearth({"inspect", golden("models/qwen3_moe"), "--json", "--kv", "q8"}).out);
  EXPECT_EQ(q8["memory"].back()["cache_bytes"].get<int64_t>() *
                (config["head_dim"].get<int64_t>() * 2 + 4),
            longest["cache_bytes"].get<int64_t>() * (config["head_dim"].get<int64_t>() + 4));
  EXPECT_EQ(model["pipeline"]["stages_max"], config["num_hidden_layers"]);
  EXPECT_EQ(model["tensor_ranks"], json({2}));
}

TEST(InspectTest, PrintsTablesForPeople) {
  const Ran ran = run_hearth({"inspect", "ember"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  for (const char* line :
       {"Architecture   llama", "Tokenizer      BPE, 2048 tokens", "Chat template  yes",
        "Begins with    none", "<|im_end|> (", "embedding     BF16", "attention     BF16",
        "KV CACHE", "pipeline  up to 6 stages"}) {
    EXPECT_THAT(ran.out, HasSubstr(line)) << ran.out;
  }
}

TEST(InspectTest, WindowsBoundTheCache) {
  const Ran ran = run_hearth({"inspect", golden("gguf/gpt_oss.gguf"), "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json model = json::parse(ran.out);
  const auto layers = model["layers"].get<int64_t>();
  const auto sliding = model["sliding_layers"].get<int64_t>();
  ASSERT_GT(sliding, 0);
  ASSERT_LT(sliding, layers);
  const json& longest = model["memory"].back();
  const int64_t kept = (layers - sliding) * model["context"].get<int64_t>() +
                       sliding * model["window"].get<int64_t>();
  EXPECT_EQ(longest["cache_bytes"], kept * model["kv_heads"].get<int64_t>() * 2 *
                                        (model["head_dim"].get<int64_t>() * 2 + 4));
}

class GoldenLogitsTest : public testing::TestWithParam<const char*> {};

TEST_P(GoldenLogitsTest, AreTheReferences) {
  const TestFolder folder;
  const std::string reference = golden("models/") + GetParam() + "/golden.safetensors";
  const auto ids = tensor<int64_t>(reference, "input_ids");
  const auto expected = tensor<float>(reference, "logits");
  const Ran ran = run_hearth({"logits", golden("models/") + GetParam(), "--ids", joined(ids),
                              "--out", folder.file("a.npy"), "--precision", "exact"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const std::string npy = read_file(folder.file("a.npy"));
  const size_t data_bytes = expected.size() * sizeof(float);
  ASSERT_GT(npy.size(), data_bytes);
  const std::string header = npy.substr(0, npy.size() - data_bytes);
  EXPECT_EQ(header.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(header.size() % 64, 0u);
  EXPECT_EQ(static_cast<unsigned char>(header[8]) + 256u * static_cast<unsigned char>(header[9]),
            header.size() - 10);
  EXPECT_THAT(header, HasSubstr("'shape': (" + std::to_string(ids.size()) + ", " +
                                std::to_string(expected.size() / ids.size()) + ")"));
  std::vector<float> got(expected.size());
  std::memcpy(got.data(), npy.data() + header.size(), data_bytes);
  float worst = 0;
  for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(got[i] - expected[i]));
  EXPECT_LE(worst, 2e-3f);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenLogitsTest, testing::Values("llama", "qwen2", "qwen3"));

// The logits [rows, vocabulary] that `hearth logits` writes for the golden llama's ids.
std::vector<float> llama_logits(const std::vector<std::string>& options) {
  const TestFolder folder;
  const std::string reference = golden("models/llama/golden.safetensors");
  std::vector<std::string> command = {"logits", golden("models/llama"),
                                      "--ids",  joined(tensor<int64_t>(reference, "input_ids")),
                                      "--out",  folder.file("a.npy")};
  command.insert(command.end(), options.begin(), options.end());
  const Ran ran = run_hearth(command);
  EXPECT_EQ(ran.status, 0) << ran.err;
  const std::string npy = read_file(folder.file("a.npy"));
  std::vector<float> logits(tensor<float>(reference, "logits").size());
  const size_t bytes = logits.size() * sizeof(float);
  if (npy.size() > bytes) std::memcpy(logits.data(), npy.data() + npy.size() - bytes, bytes);
  return logits;
}

// Mean Kullback-Leibler divergence of the llama's rows from the reference, in nats.
double llama_divergence(const std::vector<float>& logits) {
  const std::string reference = golden("models/llama/golden.safetensors");
  const auto expected = tensor<float>(reference, "logits");
  const size_t rows = tensor<int64_t>(reference, "input_ids").size();
  const size_t vocab = expected.size() / rows;
  const auto log_probabilities = [vocab](const float* row) {
    double sum = 0;
    for (size_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(row[i]));
    std::vector<double> logs(row, row + vocab);
    for (double& log : logs) log -= std::log(sum);
    return logs;
  };
  double divergence = 0;
  for (size_t r = 0; r < rows; ++r) {
    const auto p = log_probabilities(expected.data() + r * vocab);
    const auto q = log_probabilities(logits.data() + r * vocab);
    for (size_t i = 0; i < vocab; ++i) divergence += std::exp(p[i]) * (p[i] - q[i]);
  }
  return divergence / static_cast<double>(rows);
}

TEST(QuantizeTest, CostsAsMuchAsTheBitsSay) {
  const double as_stored = llama_divergence(llama_logits({"--precision", "exact"}));
  const double q8 = llama_divergence(llama_logits({"--quantize", "q8"}));
  const double q4 = llama_divergence(llama_logits({"--quantize", "q4"}));
  EXPECT_LT(as_stored, 1e-6);
  EXPECT_GT(q8, 2 * as_stored);
  EXPECT_LT(q8, 4e-3);
  EXPECT_GT(q4, 2 * q8);
  EXPECT_LT(q4, 0.2);
  RecordProperty("q8", std::to_string(q8));
  RecordProperty("q4", std::to_string(q4));
}

float farthest(const std::vector<float>& a, const std::vector<float>& b) {
  float apart = 0;
  for (size_t i = 0; i < a.size(); ++i) apart = std::max(apart, std::abs(a[i] - b[i]));
  return apart;
}

TEST(QuantizeTest, ExactPrecisionComputesWithTheRoundedWeights) {
  const auto reference = tensor<float>(golden("models/llama/golden.safetensors"), "logits");
  for (const char* bits : {"q8", "q4"}) {
    const auto exact = llama_logits({"--quantize", bits, "--precision", "exact"});
    const auto by_default = llama_logits({"--quantize", bits});
    EXPECT_GT(farthest(exact, by_default), 0);
    EXPECT_LT(2 * farthest(exact, by_default), farthest(exact, reference)) << bits;
  }
}

TEST(QuantizeTest, EveryRankRounds) {
  for (const char* bits : {"q8", "q4"}) {
    EXPECT_EQ(llama_logits({"--quantize", bits}),
              llama_logits({"--quantize", bits, "--ranks", "pipeline=2"}));
  }
}

TEST(QuantizeTest, OtherWordsAreWrongUsage) {
  const Ran ran =
      run_hearth({"logits", "ember", "--ids", "1", "--out", "x.npy", "--quantize", "q3"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("--quantize: 'q3' is not one of none, q8, q4"));
}

TEST(KvTest, CostsAsMuchAsTheBitsSay) {
  const double f32 = llama_divergence(llama_logits({"--kv", "f32"}));
  const double q16 = llama_divergence(llama_logits({"--kv", "q16"}));
  const double bf16 = llama_divergence(llama_logits({"--kv", "bf16"}));
  const double q8 = llama_divergence(llama_logits({"--kv", "q8"}));
  EXPECT_LT(q16, f32 + 1e-6);
  EXPECT_GT(bf16, 2 * q16);
  EXPECT_GT(q8, 2 * q16);
  EXPECT_LT(bf16, 1e-3);
  EXPECT_LT(q8, 1e-3);
  EXPECT_EQ(llama_logits({}), llama_logits({"--kv", "q16"}));
}

TEST(KvTest, EveryRankCachesAlike) {
  const auto q8 = llama_logits({"--kv", "q8"});
  EXPECT_EQ(q8, llama_logits({"--kv", "q8", "--ranks", "pipeline=2"}));
  EXPECT_GT(farthest(q8, llama_logits({})), 0);
}

TEST(KvTest, ExactPrecisionCachesFloats) {
  EXPECT_EQ(llama_logits({"--precision", "exact"}),
            llama_logits({"--precision", "exact", "--kv", "q8"}));
}

TEST(KvTest, OtherWordsAreWrongUsage) {
  for (const char* command : {"run", "bench", "inspect"}) {
    const Ran ran = run_hearth({command, "ember", "--kv", "q4"});
    EXPECT_EQ(ran.status, 2);
    EXPECT_THAT(ran.err, HasSubstr("--kv: 'q4' is not one of q16, bf16, q8, f32"));
  }
  EXPECT_EQ(run_hearth({"serve", "--kv", "2"}).status, 2);
}

TEST(LogitsTest, APipelineOfProcessesWritesTheSameBytes) {
  const TestFolder folder;
  std::vector<int64_t> ids;
  for (int i = 0; i < 600; ++i) ids.push_back(i * 31 % 2000);  // more than one step holds
  for (const char* precision : {"exact", "default"}) {
    const std::vector<std::string> command = {"logits",    "ember", "--ids",       joined(ids),
                                              "--threads", "1",     "--precision", precision};
    std::vector<std::string> alone = command;
    alone.insert(alone.end(), {"--out", folder.file("1.npy")});
    ASSERT_EQ(run_hearth(alone).status, 0);
    for (const std::string& transport : local_transports()) {
      std::vector<std::string> split = command;
      split.insert(split.end(), {"--out", folder.file("2.npy"), "--ranks", "pipeline=2",
                                 "--transport", transport});
      const Ran ran = run_hearth(split);
      ASSERT_EQ(ran.status, 0) << ran.err;
      EXPECT_TRUE(read_file(folder.file("1.npy")) == read_file(folder.file("2.npy")))
          << precision << " over " << transport;
    }
  }
}

TEST(LogitsTest, SlicesOfTheLayersMatchTheReference) {
  const auto reference = tensor<float>(golden("models/llama/golden.safetensors"), "logits");
  for (const std::string& transport : local_transports()) {
    for (const char* ranks : {"tensor=2", "tensor=2:1", "tensor=2,pipeline=2"}) {
      const auto logits = llama_logits(
          {"--precision", "exact", "--threads", "1", "--ranks", ranks, "--transport", transport});
      ASSERT_EQ(logits.size(), reference.size());
      EXPECT_LT(farthest(logits, reference), 2e-3) << ranks << " over " << transport;
    }
  }
}

TEST(LogitsTest, SumsTravelAsAsked) {
  const auto logits = [](const char* wire) {
    return llama_logits({"--precision", "exact", "--threads", "1", "--ranks", "tensor=2",
                         "--transport", "tcp", "--wire", wire});
  };
  const auto exact = logits("f32");
  const float bf16 = farthest(logits("bf16"), exact), q8 = farthest(logits("q8"), exact);
  EXPECT_GT(bf16, 0);
  EXPECT_LT(bf16, 0.05F);
  EXPECT_GT(q8, bf16);
  EXPECT_LT(q8, 0.6F);
}

TEST(RunTest, AnswersAQuestionAloneOnAPipeAndSplit) {
  const std::string question = "What is the capital of France?";
  const std::string answer = "The capital of France is Paris.\n";
  const Ran ran = run_hearth({"run", "ember", question, "--temperature", "0"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out, answer);
  EXPECT_EQ(ran.err, "") << "no summary away from a terminal";
  EXPECT_EQ(run_hearth({"run", "ember", "--temperature", "0"}, question + "\n").out, answer);
  const Ran split = run_hearth(
      {"run", "ember", question, "--temperature", "0", "--ranks", "pipeline=3", "--verbose"});
  EXPECT_EQ(split.out, answer) << split.err;
  EXPECT_THAT(split.err, HasSubstr("tokens/s"));
  const Ran sliced = run_hearth(
      {"run", "ember", question, "--temperature", "0", "--ranks", "tensor=3:2,pipeline=2"});
  EXPECT_EQ(sliced.out, answer) << sliced.err;
}

TEST(RunTest, ASeedDrawsTheSameAnswerAgain) {
  const std::vector<std::string> story = {"run",
                                          "ember",
                                          "Tell me a story.",
                                          "--temperature",
                                          "1.2",
                                          "--precision",
                                          "exact",
                                          "--max-tokens",
                                          "40",
                                          "--seed",
                                          "7"};
  std::vector<std::string> other = story;
  other.back() = "8";
  EXPECT_EQ(run_hearth(story).out, run_hearth(story).out);
  EXPECT_NE(run_hearth(story).out, run_hearth(other).out);
}

TEST(RunTest, RawTextIsContinuedWithoutATemplate) {
  const Ran raw = run_hearth({"run", "ember", "--raw", "--temperature", "0", "--max-tokens", "8",
                              "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
                              "<|im_start|>assistant\nThe capital of"});
  EXPECT_EQ(raw.out, " France is Paris.\n") << raw.err;
}

TEST(TokenizeTest, AgreesWithTheReferenceAndComesBack) {
  const std::string folder = golden("tokenizers/llama3");
  const json cases = json::parse(read_file(folder + "/cases.json"));
  ASSERT_GT(cases.size(), 20u);
  for (size_t i = 0; i < cases.size(); i += cases.size() / 20) {
    const auto text = cases[i]["text"].get<std::string>();
    const Ran ids = run_hearth({"tokenize", folder}, text);
    EXPECT_EQ(json::parse(ids.out), cases[i]["ids"]) << text;
    const Ran plain = run_hearth({"tokenize", folder, "--file", "-", "--no-special"}, text);
    const json without = json::parse(plain.out);
    EXPECT_EQ(without, cases[i]["ids_no_special"]) << text;
    if (without.empty()) continue;
    const Ran back =
        run_hearth({"detokenize", folder, "--ids", joined(without.get<std::vector<int64_t>>())});
    EXPECT_EQ(back.out, text);
  }
}

constexpr double kEmberBytes = 10.4e6;  // of weights, in BF16

TEST(BenchTest, ReportsWhatTheInterfacePromises) {
  const Ran ran =
      run_hearth({"bench",   "ember",      "-p",          "32",  "-n",     "8",         "-b",
                  "3",       "-d",         "16",          "-r",  "2",      "--threads", "1",
                  "--ranks", "pipeline=2", "--transport", "tcp", "--json", "--kv",      "q8"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json report = json::parse(ran.out);
  EXPECT_EQ(report["model"], "ember");
  EXPECT_EQ(report["encoding"], "BF16");
  EXPECT_FALSE(report["isa"].get<std::string>().empty());
  EXPECT_EQ(report["threads"], 1);
  EXPECT_EQ(report["ranks"], 2);
  EXPECT_EQ(report["transport"], "tcp");
  EXPECT_EQ(report["kv"], "q8");
  EXPECT_GT(report["load_seconds"], 0);
  EXPECT_GT(report["peak_rss_bytes"], 10'000'000) << "both ranks' memory";
  ASSERT_EQ(report["tests"].size(), 2u);
  EXPECT_EQ(report["tests"][0]["kind"], "prefill");
  EXPECT_EQ(report["tests"][0]["tokens"], 32);
  EXPECT_EQ(report["tests"][0]["batch"], 1);
  EXPECT_EQ(report["tests"][1]["kind"], "decode");
  EXPECT_EQ(report["tests"][1]["tokens"], 8);
  EXPECT_EQ(report["tests"][1]["batch"], 3);
  for (const json& test : report["tests"]) {
    EXPECT_EQ(test["depth"], 16);
    ASSERT_EQ(test["runs"].size(), 2u);
    EXPECT_GT(test["runs"][0], 0);
    const double middle = (test["runs"][0].get<double>() + test["runs"][1].get<double>()) / 2;
    EXPECT_NEAR(test["tokens_per_second"].get<double>(), middle, middle * 1e-6);
    for (const auto& [rate, share, ceiling] :
         {std::tuple("gigabytes_per_second", "share_of_bandwidth", "read_gigabytes_per_second"),
          std::tuple("teraflops", "share_of_compute", "teraflops")}) {
      const double reached = test[rate];
      EXPECT_GT(reached, 0);
      EXPECT_LT(test[share], 1.5);
      EXPECT_NEAR(test[share].get<double>(), reached / report["machine"][ceiling].get<double>(),
                  1e-6);
    }
  }
  // Sequences that generate together read weights once: here one does, and two do.
  const json& decode = report["tests"][1];
  const double token_bytes = 1e9 * decode["gigabytes_per_second"].get<double>() /
                             decode["tokens_per_second"].get<double>();
  EXPECT_GT(token_bytes, 0.6 * kEmberBytes);
  EXPECT_LT(token_bytes, kEmberBytes);
  EXPECT_EQ(report["decode_threads"], 1);
  const Ran table = run_hearth({"bench", "ember", "-p", "8", "-n", "0", "-r", "1"});
  EXPECT_THAT(table.out, testing::AllOf(HasSubstr("prefill"), HasSubstr("GB/s"), HasSubstr(" %"),
                                        testing::Not(HasSubstr("\ndecode"))));
}

TEST(BenchTest, ARankIsStartedAndMetWhereItIsPlaced) {
  const TestFolder folder;
  const std::string launcher = folder.file("launcher"), started = folder.file("started");
  std::ofstream(launcher) << "#!/bin/sh\necho \"$@\" >" << started << "\nshift\nexec \"$@\"\n";
  std::filesystem::permissions(launcher, std::filesystem::perms::owner_all);
  const auto bench = [&](const std::string& first) {
    return run_hearth({"bench", "ember", "-p", "8", "-n", "0", "-r", "1", "--threads", "1",
                       "--ranks", "pipeline=2", "--transport", "tcp", "--place", first, "--place",
                       "127.0.0.2  " + launcher + " there"});
  };
  const Ran ran = bench("127.0.0.1");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(read_file(started),
              testing::AllOf(testing::StartsWith("there /"), HasSubstr("hearth runner --socket")));
  // An address that is not this machine's.
  EXPECT_THAT(bench("192.0.2.1").err, HasSubstr("192.0.2.1"));
}

// The last stage has the head, which costs more than a layer when layers have 4 bits and it has 8.
TEST(BenchTest, LayersAreSharedOutByTheirTime) {
  const auto layers = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"bench", "ember", "-p",        "4", "-n",     "1",
                                       "-r",    "1",     "--threads", "1", "--json", "--ranks"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ran ran = run_hearth(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return json::parse(ran.out)["layers"];
  };
  EXPECT_EQ(layers({"pipeline=2"}), json({3, 3}));
  EXPECT_EQ(layers({"pipeline=2", "--quantize", "q4"}), json({4, 2}));
  EXPECT_EQ(layers({"tensor=2"}), json({6}));
}

TEST(BenchTest, MeasuredTimesBeatCountedBytes) {
  const auto ember = daemon::read_model_facts("ember", HEARTH_SOURCE_DIR "/models/ember");
  ASSERT_TRUE(ember.ok());
  const TestFolder folder;
  daemon::KeptTimes kept(folder.file(""), engine::Quantize::kNone);
  const auto layers = [&](const std::string& kv) {
    const Ran ran = run_hearth({"bench", "ember", "-p", "4", "-n", "1", "-r", "1", "--threads", "1",
                                "--json", "--kv", kv, "--ranks", "pipeline=2"},
                               "", folder.file(""));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return json::parse(ran.out)["layers"];
  };
  kept.add(*ember, "q16", {.layers = {7e-3, 1e-3, 1e-3, 1e-3, 1e-3}});
  EXPECT_EQ(layers("q16"), json({3, 3})) << "not all of the layers are known";
  kept.add(*ember, "q16", {.layer_begin = 5, .layers = {1e-3}, .head = 1e-3});
  EXPECT_EQ(layers("q16"), json({1, 5}));
  EXPECT_EQ(layers("q8"), json({3, 3}));
}

TEST(ErrorTest, OneLineSaysWhatIsWrongAndTheStatusWhoseFaultItIs) {
  struct Case {
    std::vector<std::string> arguments;
    int status;
    std::string says;
  };
  for (const Case& wrong : std::vector<Case>{
           {{"run", "nosuch", "Hi"}, 1, "there is no model 'nosuch' in"},
           {{"run", "org/name:Q4_0", "Hi"}, 1, "this build downloads no models"},
           {{"run", "ember", ""}, 1, "the prompt is empty"},
           {{"run", "ember", "Hi", "--temperature", "-1"}, 2, "--temperature"},
           {{"run", "ember", "Hi", "--ranks", "sideways=2"}, 2, "is not like pipeline=2"},
           {{"run", "ember", "Hi", "--ranks", "pipeline=0"}, 2, "is not like pipeline=2"},
           {{"run", "ember", "Hi", "--ranks", "pipeline=2:1"}, 2, "is not like pipeline=2"},
           {{"run", "ember", "Hi", "--ranks", "tensor=2:0"}, 2, "is not like pipeline=2, tensor=2"},
           {{"run", "ember", "Hi", "--ranks", "tensor"}, 2, "tensor=2:1"},
           {{"run", "ember", "Hi", "--ranks", "tensor=16,pipeline=5"}, 2, "more than 64 ranks"},
           {{"run", "ember", "Hi", "--ranks", "pipeline=7"}, 1, "ember has 6 layers"},
           {{"run", "ember", "Hi", "--transport", "pigeon"}, 2, "--transport"},
           {{"run", "ember", "Hi", "--place", " "}, 2, "begins with an address"},
           {{"run", "ember", "Hi", "--ranks", "pipeline=2", "--place", "127.0.0.1"},
            1,
            "1 --place for 2 ranks"},
           {{"run"}, 2, "MODEL"},
           {{"logits", "ember", "--ids", "1,2,9999", "--out", "/dev/null"}, 1, "id 9999"},
           {{"logits", "ember", "--ids", "1,x", "--out", "/dev/null"}, 2, "list of token ids"},
           {{"logits", "ember", "--ids", "1", "--out", "/nonexistent/a.npy"}, 1, "cannot write"},
           {{"bench", "ember", "-p", "2000"}, 1, "ember's context of 1024"},
           {{"tokenize", "ember", "--file", "/nonexistent"}, 1, "cannot read /nonexistent"},
           {{"detokenize", "ember", "--ids", "5000"}, 1, "id 5000"},
           {{"dance"}, 2, "there is no command 'dance'"}}) {
    const Ran ran = run_hearth(wrong.arguments);
    EXPECT_EQ(ran.status, wrong.status) << wrong.says;
    EXPECT_EQ(ran.out, "") << wrong.says;
    EXPECT_THAT(ran.err, HasSubstr(wrong.says));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }
}

TEST(HelpTest, TeachesWithExamplesAndHidesTheRunner) {
  const Ran all = run_hearth({"--help"});
  EXPECT_EQ(all.status, 0);
  EXPECT_THAT(all.out, testing::AllOf(HasSubstr("bench"), HasSubstr("Examples:"),
                                      testing::Not(HasSubstr("runner"))));
  for (const char* command : {"run", "bench", "logits", "tokenize", "detokenize"}) {
    EXPECT_THAT(run_hearth({command, "--help"}).out, HasSubstr("hearth " + std::string(command)));
  }
}

// The children of a process, all of its threads'.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code gone;
  const std::string tasks = "/proc/" + std::to_string(parent) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, gone)) {
    std::ifstream in(task.path() / "children");
    for (pid_t child = 0; in >> child;) children.push_back(child);
  }
  return children;
}

TEST(RanksTest, DieWithTheProgramThatStartedThem) {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + std::chrono::seconds(30);
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  auto program = daemon::ChildProcess::start(
      {.command = {HEARTH_BINARY, "bench", HEARTH_SOURCE_DIR "/models/ember", "-r", "1000",
                   "--threads", "1", "--ranks", "pipeline=3", "--transport", "tcp"}});
  ASSERT_TRUE(program.ok()) << program.error().message();
  std::vector<pid_t> ranks;
  while (ranks.size() < 2 && steady_clock::now() < deadline) {
    ranks = children_of((*program)->pid());
    pause();
  }
  ASSERT_EQ(ranks.size(), 2u);
  (*program)->kill();
  for (const pid_t rank : ranks) {
    // Nobody may be there to reap an orphan: a zombie is dead too.
    const auto alive = [rank] {
      const std::string stat = read_file("/proc/" + std::to_string(rank) + "/stat");
      return !stat.empty() && stat.find(") Z") == std::string::npos;
    };
    while (alive() && steady_clock::now() < deadline) pause();
    EXPECT_FALSE(alive()) << rank;
  }
}

}  // namespace
}  // namespace hearth::cli
