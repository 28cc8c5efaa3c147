// Names of tensors in GGUF files:
// https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/tensor_mapping.py.
#pragma once

#include <string>
#include <string_view>

#include "engine/models/architecture.h"

namespace hearth::engine {

// "blk.3.attn_q.weight" to "model.layers.3.self_attn.q_proj.weight"; empty for a name not known.
std::string hugging_face_name(std::string_view name, const ArchitectureCode& architecture);

}  // namespace hearth::engine
