// A .gguf file as a model: its metadata to a ModelSpec, its tensors under Hugging Face's names.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/formats/opened_model.h"

namespace hearth::engine {

// Errors as ModelFiles::open.
Result<OpenedModel> open_gguf(const std::string& path);

}  // namespace hearth::engine
