// hearth inspect: what a model is, what it needs, and how it can be cut.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "cli/command.h"
#include "cli/local_model.h"
#include "cli/table.h"
#include "engine/kv_type.h"
#include "engine/model_files.h"
#include "engine/tokenizer.h"
#include "store/model_locator.h"

namespace hearth::cli {
namespace {

using engine::ModelSpec;
using engine::ModelTensor;

constexpr int64_t kContexts[] = {4096, 32768};
constexpr int kTensorRanksMax = 64;

struct Options {
  std::string model;
  engine::KvType kv = engine::KvType::kQ16;
  bool json = false;
};

// Tensors of one purpose and encoding.
struct Group {
  std::string name;
  std::string encoding;
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t bytes = 0;
};

struct Memory {
  int64_t tokens = 0;
  int64_t weights = 0;
  int64_t cache = 0;  // of one sequence that long
};

struct Token {
  int32_t id = 0;
  std::string text;
};

struct Report {
  std::string name;
  std::string path;
  std::unique_ptr<engine::ModelFiles> files;
  std::unique_ptr<engine::Tokenizer> tokenizer;  // null pointer: the model has none
  std::vector<Group> groups;                     // in the order of the forward pass
  int64_t parameters = 0;
  int64_t active_parameters = 0;  // that one token is computed with
  int64_t bytes = 0;
  std::vector<Memory> memory;
  int64_t layer_bytes_min = 0;
  int64_t layer_bytes_max = 0;
  int64_t embedding_bytes = 0;
  int64_t head_bytes = 0;
  std::vector<int> tensor_ranks;  // counts of ranks that get equal slices of the layers

  const ModelSpec& spec() const { return files->spec(); }
};

bool contains(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

std::string group_of(const ModelTensor& tensor) {
  if (tensor.layer == ModelTensor::kEmbedding) return "embedding";
  if (contains(tensor.name, "norm")) return "norms";
  if (tensor.layer == ModelTensor::kHead) return "head";
  if (contains(tensor.name, "_attn.")) return "attention";
  if (contains(tensor.name, ".experts.")) return "experts";
  if (contains(tensor.name, ".router.") || contains(tensor.name, ".gate.")) return "router";
  return "feed-forward";
}

void add_tensors(Report& report) {
  std::vector<int64_t> layers(report.spec().layers);
  for (const ModelTensor& tensor : report.files->tensors()) {
    const std::string name = group_of(tensor);
    const std::string encoding(to_string(tensor.encoding));
    auto group = std::ranges::find_if(report.groups, [&](const Group& known) {
      return known.name == name && known.encoding == encoding;
    });
    if (group == report.groups.end()) {
      group = report.groups.insert(group, {.name = name, .encoding = encoding});
    }
    const int64_t parameters = tensor.rows * tensor.columns;
    ++group->tensors;
    group->parameters += parameters;
    group->bytes += tensor.bytes;
    report.parameters += parameters;
    report.bytes += tensor.bytes;
    const bool rarely = name == "experts" && report.spec().moe;
    report.active_parameters +=
        rarely ? parameters * report.spec().moe->used / report.spec().moe->experts : parameters;
    if (tensor.layer >= 0) {
      layers[tensor.layer] += tensor.bytes;
    } else {
      const bool embedding = tensor.layer == ModelTensor::kEmbedding;
      (embedding ? report.embedding_bytes : report.head_bytes) += tensor.bytes;
    }
  }
  const auto [least, most] = std::ranges::minmax(layers);
  report.layer_bytes_min = least;
  report.layer_bytes_max = most;
}

int sliding_layers(const ModelSpec& spec) {
  int count = 0;
  for (int layer = 0; layer < spec.layers; ++layer) count += spec.slides(layer) ? 1 : 0;
  return count;
}

int linear_layers(const ModelSpec& spec) {
  return spec.delta ? static_cast<int>(std::ranges::count(spec.delta->linear, true)) : 0;
}

int64_t cache_bytes(const ModelSpec& spec, engine::KvType kv, int64_t tokens) {
  const int64_t sliding = sliding_layers(spec);
  const int64_t linear = linear_layers(spec);
  const int64_t kept = sliding * std::min<int64_t>(tokens, spec.window) +
                       (spec.layers - sliding - linear) * tokens;  // over all layers
  const int64_t states = linear == 0 ? 0 : linear * spec.delta->state_numbers();
  return kept * engine::kv_token_bytes(spec, kv) + states * static_cast<int64_t>(sizeof(float));
}

void add_memory(Report& report, engine::KvType kv) {
  const int64_t context = report.spec().context;
  std::vector<int64_t> lengths;
  for (const int64_t tokens : kContexts) {
    if (tokens < context) lengths.push_back(tokens);
  }
  lengths.push_back(context);
  for (const int64_t tokens : lengths) {
    report.memory.push_back({.tokens = tokens,
                             .weights = report.bytes,
                             .cache = cache_bytes(report.spec(), kv, tokens)});
  }
}

// Ranks with equal slices get as many heads each, and as many columns or experts of the
// feed-forward layers.
void add_tensor_ranks(Report& report) {
  const ModelSpec& spec = report.spec();
  for (int ranks = 2; ranks <= kTensorRanksMax; ++ranks) {
    const bool heads = spec.heads % ranks == 0 && (spec.latent || spec.kv_heads % ranks == 0) &&
                       (!spec.delta || spec.delta->key_heads % ranks == 0);
    const bool experts = !spec.moe || spec.moe->experts % ranks == 0 || spec.moe->ffn % ranks == 0;
    const bool dense = spec.ffn % ranks == 0;
    if (heads && experts && dense) report.tensor_ranks.push_back(ranks);
  }
}

Result<Report> inspect_model(const std::string& model, engine::KvType kv) {
  const store::ModelLocator locator(store::ModelLocator::default_roots());
  HEARTH_TRY(store::LocatedModel located, locator.find(model));
  Report report{.name = std::move(located.name), .path = std::move(located.path)};
  HEARTH_TRY(report.files, engine::ModelFiles::open(report.path));
  auto tokenizer = engine::Tokenizer::load(report.path);
  if (tokenizer.ok()) {
    report.tokenizer = std::move(tokenizer).value();
  } else if (tokenizer.error().code() != Code::kNotFound) {
    return tokenizer.error();
  }
  add_tensors(report);
  add_memory(report, kv);
  add_tensor_ranks(report);
  return report;
}

std::string text_of(const Report& report, int32_t id) {
  return report.tokenizer == nullptr ? "" : report.tokenizer->bytes(id, /*skip_special=*/false);
}

std::vector<Token> tokens_of(const Report& report, const std::vector<int32_t>& ids) {
  std::vector<Token> tokens;
  for (const int32_t id : ids) {
    if (id >= 0) tokens.push_back({id, text_of(report, id)});
  }
  return tokens;
}

nlohmann::ordered_json to_json(const std::vector<Token>& tokens) {
  auto list = nlohmann::ordered_json::array();
  for (const Token& token : tokens) list.push_back({{"id", token.id}, {"text", token.text}});
  return list;
}

void print_json(const Report& report) {
  const ModelSpec& spec = report.spec();
  nlohmann::ordered_json out = {{"model", report.name},
                                {"path", report.path},
                                {"architecture", spec.architecture_name},
                                {"encoding", report.files->main_encoding()},
                                {"parameters", report.parameters},
                                {"active_parameters", report.active_parameters},
                                {"weight_bytes", report.bytes},
                                {"layers", spec.layers},
                                {"hidden", spec.hidden},
                                {"ffn", spec.ffn},
                                {"heads", spec.heads},
                                {"kv_heads", spec.kv_heads},
                                {"head_dim", spec.head_dim},
                                {"vocab", spec.vocab},
                                {"context", spec.context},
                                {"window", spec.window},
                                {"sliding_layers", sliding_layers(spec)},
                                {"experts", spec.moe ? spec.moe->experts : 0},
                                {"experts_used", spec.moe ? spec.moe->used : 0}};
  for (const Group& group : report.groups) {
    out["tensors"].push_back({{"group", group.name},
                              {"encoding", group.encoding},
                              {"count", group.tensors},
                              {"parameters", group.parameters},
                              {"bytes", group.bytes}});
  }
  for (const Memory& memory : report.memory) {
    out["memory"].push_back({{"tokens", memory.tokens},
                             {"weight_bytes", memory.weights},
                             {"cache_bytes", memory.cache}});
  }
  out["pipeline"] = {{"stages_max", spec.layers},
                     {"layer_bytes_min", report.layer_bytes_min},
                     {"layer_bytes_max", report.layer_bytes_max},
                     {"embedding_bytes", report.embedding_bytes},
                     {"head_bytes", report.head_bytes}};
  out["tensor_ranks"] = report.tensor_ranks;
  out["tokenizer"] = nullptr;
  if (report.tokenizer != nullptr) {
    out["tokenizer"] = {{"kind", report.tokenizer->kind()}, {"size", report.tokenizer->size()}};
  }
  out["chat_template"] = !report.files->chat_template().empty();
  out["bos"] = to_json(tokens_of(report, {spec.bos_id}));
  out["eos"] = to_json(tokens_of(report, spec.eos_ids));
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  std::printf("%s\n", out.dump(2, ' ', false, kReplace).c_str());
}

// "8.03 B", "305 M".
std::string count(int64_t number) {
  struct Unit {
    double size;
    const char* name;
  };
  for (const Unit unit : {Unit{1e12, " T"}, Unit{1e9, " B"}, Unit{1e6, " M"}, Unit{1e3, " K"}}) {
    if (static_cast<double>(number) >= unit.size) {
      return fmt::format("{:.3g}{}", static_cast<double>(number) / unit.size, unit.name);
    }
  }
  return std::to_string(number);
}

// "2, 4 or 8".
std::string alternatives(const std::vector<int>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) text += i + 1 == numbers.size() ? " or " : ", ";
    text += std::to_string(numbers[i]);
  }
  return text;
}

// "</s> (2), <|im_end|> (7)"; a token's control characters are written as in JSON.
std::string described(const std::vector<Token>& tokens) {
  std::string text;
  for (const Token& token : tokens) {
    if (!text.empty()) text += ", ";
    constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
    std::string quoted = nlohmann::json(token.text).dump(-1, ' ', false, kReplace);
    quoted = quoted.substr(1, quoted.size() - 2);
    text += quoted.empty() ? std::to_string(token.id) : fmt::format("{} ({})", quoted, token.id);
  }
  return text.empty() ? "none" : text;
}

std::string attention_text(const ModelSpec& spec) {
  if (spec.latent) {
    return fmt::format("{} heads over a latent vector of {}", spec.heads, spec.latent->latent_dim);
  }
  const std::string heads =
      fmt::format("{} heads of {}, {} key-value heads", spec.heads, spec.head_dim, spec.kv_heads);
  if (!spec.delta) return heads;
  return fmt::format("{}; {} layers linear, with {} heads of {}", heads, linear_layers(spec),
                     spec.delta->value_heads, spec.delta->value_dim);
}

std::string context_text(const ModelSpec& spec) {
  const int sliding = sliding_layers(spec);
  if (sliding == 0) return fmt::format("{} tokens", spec.context);
  return fmt::format("{} tokens; {} of {} layers see the last {}", spec.context, sliding,
                     spec.layers, spec.window);
}

std::string facts(const Report& report) {
  const ModelSpec& spec = report.spec();
  const bool sparse = report.active_parameters != report.parameters;
  std::vector<std::vector<std::string>> rows = {
      {"Architecture", spec.architecture_name},
      {"Parameters",
       count(report.parameters) +
           (sparse ? fmt::format(", {} for each token", count(report.active_parameters)) : "")},
      {"Weights", format_bytes(report.bytes) + ", mostly " + report.files->main_encoding()},
      {"Layers", fmt::format("{}, hidden {}, feed-forward {}", spec.layers, spec.hidden, spec.ffn)},
      {"Attention", attention_text(spec)}};
  if (spec.moe) {
    const auto sparse_layers = std::ranges::count(spec.moe->sparse, true);
    rows.push_back(
        {"Experts", fmt::format("{} of width {} in {} layers, {} for each token", spec.moe->experts,
                                spec.moe->ffn, sparse_layers, spec.moe->used)});
  }
  rows.push_back({"Context", context_text(spec)});
  rows.push_back({"Vocabulary",
                  fmt::format("{}{}", spec.vocab, spec.tied_embedding ? ", head tied to it" : "")});
  rows.push_back({"Tokenizer", report.tokenizer == nullptr
                                   ? "none"
                                   : fmt::format("{}, {} tokens", report.tokenizer->kind(),
                                                 report.tokenizer->size())});
  rows.push_back({"Chat template", report.files->chat_template().empty() ? "no" : "yes"});
  rows.push_back({"Begins with", described(tokens_of(report, {spec.bos_id}))});
  rows.push_back({"Ends with", described(tokens_of(report, spec.eos_ids))});
  return table(rows);
}

std::string weights_table(const Report& report) {
  std::vector<std::vector<std::string>> rows = {
      {"WEIGHTS", "ENCODING", "TENSORS", "PARAMETERS", "SIZE"}};
  for (const Group& group : report.groups) {
    rows.push_back({group.name, group.encoding, std::to_string(group.tensors),
                    count(group.parameters), format_bytes(group.bytes)});
  }
  return table(rows);
}

std::string memory_table(const Report& report) {
  std::vector<std::vector<std::string>> rows = {{"MEMORY", "WEIGHTS", "KV CACHE", "TOGETHER"}};
  for (const Memory& memory : report.memory) {
    rows.push_back({fmt::format("{} tokens", memory.tokens), format_bytes(memory.weights),
                    format_bytes(memory.cache), format_bytes(memory.weights + memory.cache)});
  }
  return table(rows);
}

std::string cuts_table(const Report& report) {
  const ModelSpec& spec = report.spec();
  const std::string layer = report.layer_bytes_min == report.layer_bytes_max
                                ? format_bytes(report.layer_bytes_max)
                                : fmt::format("{} to {}", format_bytes(report.layer_bytes_min),
                                              format_bytes(report.layer_bytes_max));
  const int64_t head =
      report.head_bytes + (spec.tied_embedding ? report.embedding_bytes : int64_t{0});
  const std::string ranks =
      report.tensor_ranks.empty()
          ? "any number of ranks, in unequal slices"
          : alternatives(report.tensor_ranks) + " ranks equally, any number in unequal slices";
  return table({{"SPLIT"},
                {"pipeline", fmt::format("up to {} stage{}; {} a layer, {} more for the first "
                                         "stage, {} for the last",
                                         spec.layers, spec.layers == 1 ? "" : "s", layer,
                                         format_bytes(report.embedding_bytes), format_bytes(head))},
                {"tensor", ranks}});
}

Result<void> inspect(const Options& options) {
  HEARTH_TRY(const Report report, inspect_model(options.model, options.kv));
  if (options.json) {
    print_json(report);
  } else {
    std::printf("%s\n\n%s\n%s\n%s\n%s", report.name.c_str(), facts(report).c_str(),
                weights_table(report).c_str(), memory_table(report).c_str(),
                cuts_table(report).c_str());
  }
  return {};
}

}  // namespace

Action declare_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_model_option(app, &options->model);
  add_kv_option(app, &options->kv);
  app.add_flag("--json", options->json, "One JSON object instead of tables");
  app.footer(
      "Reads headers only. Memory is that of one sequence, with the KV cache of --kv.\n\n"
      "Examples:\n"
      "  hearth inspect ember\n"
      "  hearth inspect ./Qwen3-30B-A3B-Q4_K_M.gguf --json");
  return [options] { return inspect(*options); };
}

}  // namespace hearth::cli
