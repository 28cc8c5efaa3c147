// The tokenizer in a GGUF file's metadata (tokenizer.ggml.*):
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer.
#pragma once

#include "base/result.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer_parts.h"

namespace hearth::engine {

// kNotFound if the file has none; kUnsupported names a tokenizer.ggml.model or .pre that is not
// known; kCorrupt the key, and what was expected.
Result<TokenizerParts> read_tokenizer_gguf(const GgufFile& gguf);

}  // namespace hearth::engine
