// What the readers of each kind of tokenizer file hand to Tokenizer::load.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/decoder.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/word_encoder.h"

namespace hearth::engine {

struct TokenizerParts {
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const WordEncoder> encoder;
  Decoder decoder;
  std::vector<std::string> tokens;  // by id
  std::vector<bool> verbatim;       // by id: decoded as it is written; may be shorter than tokens
  std::vector<int32_t> prefix;      // ids that the post-processor puts before and after
  std::vector<int32_t> suffix;
};

// kCorrupt if prefix or suffix name an id that is not below `tokens`, their number: it would be
// handed out but never decoded.
Result<void> check_special_ids(const TokenizerParts& parts, size_t tokens, const std::string& file);

}  // namespace hearth::engine
