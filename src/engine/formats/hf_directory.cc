#include "engine/formats/hf_directory.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/formats/hf_config.h"
#include "engine/formats/hf_weights.h"
#include "engine/formats/json.h"
#include "engine/formats/json_stream.h"
#include "engine/formats/safetensors.h"
#include "engine/models/architecture.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr JsonLimits kConfigLimits{};
constexpr JsonLimits kIndexLimits{.bytes_max = 64 << 20, .values_max = 300'000, .depth_max = 8};
constexpr size_t kShardFilesMax = 4096;
constexpr size_t kTemplateBytesMax = 4 << 20;

// tokenizer_config.json holds special tokens as strings or as objects with "content".
Result<std::string> special_token(const JsonObject& config, std::string_view key) {
  const json* value = config.find(key);
  if (value == nullptr) return std::string();
  if (value->is_string()) return value->get<std::string>();
  HEARTH_TRY(const JsonObject token, config.object(key));
  return token.text("content");
}

// A string, or a list of {name, template} of which "default" is the chat template.
Result<std::string> chat_template_of(const JsonObject& config) {
  const json* value = config.find("chat_template");
  if (value == nullptr) return std::string();
  if (value->is_string()) return value->get<std::string>();
  HEARTH_TRY(const json* list, config.array("chat_template"));
  for (const json& entry : *list) {
    HEARTH_TRY(const JsonObject named, JsonObject::of(entry, config.where() + ": chat_template"));
    HEARTH_TRY(const std::string name, named.text("name"));
    if (name == "default") return named.text("template");
  }
  return std::string();
}

// The id of an added token in tokenizer_config.json (added_tokens_decoder) or else in
// tokenizer.json (added_tokens); -1 if neither knows it.
Result<int32_t> added_token_id(const std::string& directory, const JsonObject& config,
                               const std::string& token) {
  if (const json* decoder = config.find("added_tokens_decoder");
      decoder != nullptr && decoder->is_object()) {
    for (const auto& [id, entry] : decoder->items()) {
      const bool digits =
          !id.empty() && id.size() <= 9 &&
          std::all_of(id.begin(), id.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (digits && entry.is_object() && entry.value("content", json()) == token) {
        return static_cast<int32_t>(std::stol(id));
      }
    }
  }
  const std::string path = directory + "/tokenizer.json";
  const Result<MappedFile> file = MappedFile::open(path);
  if (!file.ok()) {
    if (file.error().code() == Code::kNotFound) return -1;
    return file.error();
  }
  int32_t found = -1;
  const auto compare = [&](const std::string*, const json& entry) -> Result<void> {
    if (found >= 0 || !entry.is_object() || entry.value("content", json()) != token) return {};
    HEARTH_TRY(const JsonObject added, JsonObject::of(entry, path + ": added_tokens"));
    HEARTH_TRY(const int64_t id, added.integer("id", 0, INT32_MAX));
    found = static_cast<int32_t>(id);
    return {};
  };
  const auto skip = [](const std::string*, const json&) -> Result<void> { return {}; };
  const JsonList lists[] = {
      {"model", "vocab", skip}, {"model", "merges", skip}, {"", "added_tokens", compare}};
  HEARTH_RETURN_IF_ERROR(stream_json(file->text(), path, kTokenizerJsonLimits, lists));
  HEARTH_RETURN_IF_ERROR(file->check_intact());
  return found;
}

// Chat template and special tokens. A newer repository keeps the template in a file of its own,
// which wins.
Result<void> read_tokenizer_config(const std::string& directory, OpenedModel& model) {
  const std::string path = directory + "/tokenizer_config.json";
  HEARTH_TRY(const std::optional<json> document, read_optional_json_file(path, kConfigLimits));
  if (document) {
    HEARTH_TRY(const JsonObject config, JsonObject::of(*document, path));
    HEARTH_TRY(model.bos_token, special_token(config, "bos_token"));
    HEARTH_TRY(model.eos_token, special_token(config, "eos_token"));
    HEARTH_TRY(model.chat_template, chat_template_of(config));
    if (!model.eos_token.empty()) {
      HEARTH_TRY(const int32_t id, added_token_id(directory, config, model.eos_token));
      std::vector<int32_t>& ids = model.spec.eos_ids;
      const bool known = std::find(ids.begin(), ids.end(), id) != ids.end();
      if (id >= 0 && id < model.spec.vocab && !known) ids.push_back(id);
    }
  }
  const Result<MappedFile> file = MappedFile::open(directory + "/chat_template.jinja");
  if (!file.ok()) {
    if (file.error().code() == Code::kNotFound) return {};
    return file.error();
  }
  if (file->bytes().size() > kTemplateBytesMax) {
    return Error(Code::kCorrupt, file->path() + ": more than 4 MiB");
  }
  model.chat_template = file->text();
  return file->check_intact();
}

// A file of a model's weights. `names`: the tensors that the index places in it; empty without an
// index, when they are whatever it holds.
struct WeightsFile {
  std::string path;
  std::set<std::string> names;
};

// Adds the file's tensors to `all`, which must not outlive `from`.
Result<void> add_file(const WeightsFile& from, HfTensors& all, std::vector<MappedFile>& files) {
  HEARTH_TRY(MappedFile file, MappedFile::open(from.path));
  HEARTH_TRY(std::vector<FileTensor> tensors, parse_safetensors(file.bytes(), from.path));
  for (FileTensor& tensor : tensors) {
    if (!from.names.empty() && !from.names.contains(tensor.name)) continue;
    std::string name = tensor.name;
    all.emplace(std::move(name), HfTensor{std::move(tensor), from.path});
  }
  for (const std::string& name : from.names) {
    if (all.contains(name)) continue;
    return Error(Code::kCorrupt, from.path + ": tensor " + name +
                                     " is missing, expected by model.safetensors.index.json");
  }
  files.push_back(std::move(file));
  return {};
}

Result<std::vector<WeightsFile>> files_of_index(const std::string& directory, const json& index,
                                                const std::string& where) {
  HEARTH_TRY(const JsonObject object, JsonObject::of(index, where));
  HEARTH_TRY(const JsonObject checked, object.object("weight_map"));
  std::map<std::string, std::set<std::string>> names_of_file;
  for (const auto& [tensor, file] : object.find("weight_map")->items()) {
    HEARTH_TRY(const std::string name, checked.text(tensor));
    const bool plain = name.find('/') == std::string::npos && name.ends_with(".safetensors");
    if (!plain) return checked.wrong(tensor, "the name of a .safetensors file in the same folder");
    names_of_file[name].insert(tensor);
  }
  if (names_of_file.size() > kShardFilesMax) {
    return object.wrong("weight_map", "at most 4096 different files");
  }
  std::vector<WeightsFile> files;
  for (auto& [name, tensors] : names_of_file) {
    files.push_back({directory + "/" + name, std::move(tensors)});
  }
  return files;
}

Result<void> read_weights(const std::string& directory, const HfQuantization& quantization,
                          OpenedModel& model) {
  const std::string index_path = directory + "/model.safetensors.index.json";
  HEARTH_TRY(const std::optional<json> index, read_optional_json_file(index_path, kIndexLimits));
  std::vector<WeightsFile> files = {{directory + "/model.safetensors", {}}};
  if (index) {
    HEARTH_TRY(files, files_of_index(directory, *index, index_path));
  }
  HfTensors tensors;
  for (const WeightsFile& file : files) {
    HEARTH_RETURN_IF_ERROR(add_file(file, tensors, model.files));
  }
  HEARTH_TRY(model.tensors, tensor_table_of(quantization, tensors));
  return {};
}

// In a model that also sees or hears, the language model's tensors have a prefix of their own.
Result<void> rename_language_model(const std::string& directory, TensorTable& tensors) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kPrefixes = {{
      {"model.language_model.", "model."},
      {"language_model.model.", "model."},
      {"language_model.lm_head.", "lm_head."},
  }};
  for (const auto& [prefix, plain] : kPrefixes) {
    for (auto next = tensors.lower_bound(prefix);
         next != tensors.end() && next->first.starts_with(prefix);) {
      auto node = tensors.extract(next++);
      node.key() = std::string(plain) + node.key().substr(prefix.size());
      const auto inserted = tensors.insert(std::move(node));
      if (inserted.inserted) continue;
      return Error(Code::kCorrupt, directory + ": tensor " + inserted.node.key() +
                                       " is there with the prefix " + std::string(prefix) +
                                       " and without");
    }
  }
  return {};
}

}  // namespace

Result<OpenedModel> open_hf_directory(const std::string& directory) {
  OpenedModel model;
  const std::string config_path = directory + "/config.json";
  HEARTH_TRY(const json config, read_json_file(config_path, kConfigLimits));
  HEARTH_TRY(model.spec, spec_of_config(config, config_path));
  const std::filesystem::path folder = std::filesystem::path(directory).lexically_normal();
  model.spec.name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();

  const std::string generation_path = directory + "/generation_config.json";
  HEARTH_TRY(const std::optional<json> generation,
             read_optional_json_file(generation_path, kConfigLimits));
  if (generation) {
    HEARTH_RETURN_IF_ERROR(apply_generation_config(*generation, generation_path, model.spec));
  }
  HEARTH_RETURN_IF_ERROR(read_tokenizer_config(directory, model));

  HEARTH_TRY(const HfQuantization quantization, quantization_of_config(config, config_path));
  HEARTH_RETURN_IF_ERROR(read_weights(directory, quantization, model));
  HEARTH_RETURN_IF_ERROR(rename_language_model(directory, model.tensors));
  const ArchitectureCode& code = code_of(model.spec.architecture);
  if (code.read_tensors != nullptr) code.read_tensors(model.tensors, model.spec);
  if (!model.tensors.contains("lm_head.weight")) model.spec.tied_embedding = true;
  return model;
}

}  // namespace hearth::engine
