// What the readers of each kind of tokenizer file hand to Tokenizer::load.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pre_tokenizer.h"

namespace hearth::engine {

struct TokenizerParts {
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeOptions bpe;
  std::vector<std::string> token_bytes;  // by id
  std::vector<int32_t> prefix;           // ids that the post-processor puts before and after
  std::vector<int32_t> suffix;
};

}  // namespace hearth::engine
