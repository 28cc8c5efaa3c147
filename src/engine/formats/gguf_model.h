// A .gguf file as a model: its metadata to a ModelSpec, its tensors under Hugging Face's names.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/formats/gguf.h"
#include "engine/formats/opened_model.h"

namespace hearth::engine {

// Errors as ModelFiles::open.
Result<OpenedModel> open_gguf(const std::string& path);

// For architectures' read_gguf. Keys are given without the architecture's prefix.

// Sizes, scores and weights of experts, and which layers have them. Without
// expert_gating_func, `scoring`. Nothing if the model has no experts.
Result<void> read_gguf_experts(const GgufFile& gguf, ExpertScoring scoring, ModelSpec& spec);

// The sliding window; layers slide where `by_rule` says so for their number and the file's
// pattern (`pattern`, if it has none).
Result<void> read_gguf_sliding_layers(const GgufFile& gguf, int window, int pattern,
                                      bool (*by_rule)(int layer, int pattern), ModelSpec& spec);

// A size that is there, or `fallback` if that is positive.
Result<void> read_gguf_size(const GgufFile& gguf, const ModelSpec& spec, std::string_view key,
                            int64_t fallback, int& out);

}  // namespace hearth::engine
