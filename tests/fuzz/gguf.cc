// A GGUF file: parsed, every tensor decoded, opened as a model, its tokenizer loaded.

#include "engine/formats/gguf.h"

#include "engine/tokenizer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tensors.h"

using namespace hearth;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  // A copy of exactly this size, so that a read past the end is seen.
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  const auto parsed = engine::GgufFile::parse(bytes, "fuzz.gguf");
  if (!parsed.ok()) return 0;
  for (const engine::FileTensor& tensor : parsed->tensors()) {
    const auto view = engine::view_of(tensor, "fuzz.gguf");
    if (view.ok()) fuzz::decode(*view);
  }
  const std::string path = folder.write("fuzz.gguf", fuzz::text_of(data, size));
  if (const auto model = engine::ModelFiles::open(path); model.ok()) {
    for (const engine::ModelTensor& tensor : (*model)->tensors()) {
      const auto view = (*model)->tensor(tensor.name);
      if (view.ok()) fuzz::decode(*view);
    }
    (*model)->main_encoding();
  }
  if (const auto tokenizer = engine::Tokenizer::load(path); tokenizer.ok()) {
    (*tokenizer)->decode((*tokenizer)->encode("a text, 12 \xc3\xa9\n", true), false);
  }
  return 0;
}
