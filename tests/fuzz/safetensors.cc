// A Hugging Face directory. The input is the length of config.json (two bytes, little endian),
// config.json, and model.safetensors.

#include "engine/formats/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/formats/hf_weights.h"
#include "engine/formats/json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tensors.h"

using namespace hearth;

namespace {

// The weights under the quantisation that config.json names, whether or not they are a model.
void decode_weights(std::string_view config, std::span<const std::byte> bytes) {
  constexpr char kFile[] = "fuzz.safetensors";
  auto tensors = engine::parse_safetensors(bytes, kFile);
  const auto document = engine::parse_json(config, "config.json", engine::JsonLimits{});
  if (!tensors.ok() || !document.ok()) return;
  const auto quantization = engine::quantization_of_config(*document, "config.json");
  if (!quantization.ok()) return;
  engine::HfTensors all;
  for (engine::FileTensor& tensor : *tensors) {
    std::string name = tensor.name;
    all.emplace(std::move(name), engine::HfTensor{std::move(tensor), kFile});
  }
  const auto table = engine::tensor_table_of(*quantization, all);
  if (!table.ok()) return;
  for (const auto& [name, view] : *table) fuzz::decode(view);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  if (size < 2) return 0;
  const size_t config_size = std::min<size_t>(data[0] + 256u * data[1], size - 2);
  const std::string_view config = fuzz::text_of(data + 2, config_size);
  const std::string_view weights = fuzz::text_of(data + 2 + config_size, size - 2 - config_size);
  const std::vector<std::byte> bytes(
      reinterpret_cast<const std::byte*>(weights.data()),
      reinterpret_cast<const std::byte*>(weights.data()) + weights.size());
  decode_weights(config, bytes);
  folder.write("config.json", config);
  folder.write("model.safetensors", weights);
  if (const auto model = engine::ModelFiles::open(folder.path()); model.ok()) {
    for (const engine::ModelTensor& tensor : (*model)->tensors()) {
      const auto view = (*model)->tensor(tensor.name);
      if (view.ok()) fuzz::decode(*view);
    }
    (*model)->main_encoding();
  }
  return 0;
}
