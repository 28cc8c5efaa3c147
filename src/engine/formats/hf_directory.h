// A Hugging Face model directory: config.json, model.safetensors or its shards with
// model.safetensors.index.json, and where present generation_config.json, tokenizer_config.json,
// tokenizer.json and chat_template.jinja.
#pragma once

#include <string>

#include "base/result.h"
#include "engine/formats/opened_model.h"

namespace hearth::engine {

// Errors as ModelFiles::open.
Result<OpenedModel> open_hf_directory(const std::string& directory);

}  // namespace hearth::engine
