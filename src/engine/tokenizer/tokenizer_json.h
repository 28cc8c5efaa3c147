// tokenizer.json of https://github.com/huggingface/tokenizers, as far as byte-level BPE goes.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/tokenizer/tokenizer_parts.h"

namespace hearth::engine {

// `file` names the text in errors. kUnsupported names the kind that is not known (a model,
// normalizer, pre-tokenizer, post-processor or decoder); kCorrupt the key, and what was expected.
Result<TokenizerParts> parse_tokenizer_json(std::string_view text, const std::string& file);

}  // namespace hearth::engine
