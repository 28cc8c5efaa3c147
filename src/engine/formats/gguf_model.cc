#include "engine/formats/gguf_model.h"

namespace hearth::engine {

Result<OpenedModel> open_gguf(const std::string& path) {
  return Error(Code::kUnsupported, path + ": expected a Hugging Face directory");
}

}  // namespace hearth::engine
