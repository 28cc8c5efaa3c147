// A Hugging Face directory. The input is the length of config.json (two bytes, little endian),
// config.json, and model.safetensors.

#include "engine/formats/safetensors.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tensors.h"

using namespace hearth;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  if (size < 2) return 0;
  const size_t config_size = std::min<size_t>(data[0] + 256u * data[1], size - 2);
  const std::string_view config = fuzz::text_of(data + 2, config_size);
  const std::string_view weights = fuzz::text_of(data + 2 + config_size, size - 2 - config_size);
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(weights.data()),
                                     reinterpret_cast<const std::byte*>(weights.data()) +
                                         weights.size());
  if (const auto tensors = engine::parse_safetensors(bytes, "fuzz.safetensors"); tensors.ok()) {
    for (const engine::FileTensor& tensor : *tensors) {
      const auto view = engine::view_of(tensor, "fuzz.safetensors");
      if (view.ok()) fuzz::decode(*view);
    }
  }
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
