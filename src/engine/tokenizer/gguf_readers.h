// The readers of each kind of tokenizer in GGUF metadata. The keys, and what they mean:
// https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer_parts.h"

namespace hearth::engine {

// Values of tokenizer.ggml.token_type.
enum class GgufTokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct GgufTokens {
  std::vector<std::string_view> texts;  // by id
  std::vector<GgufTokenType> types;
};

// kCorrupt unless there are as many types as tokens.
Result<GgufTokens> read_tokens(const GgufFile& gguf);

// The parts that all kinds share: added tokens (control, unknown and user-defined ones, found in
// text as they are written), the tokens' texts, and which of them are decoded as written.
void set_tokens(const GgufTokens& tokens, TokenizerParts& parts);

// The id to put before or after a text: `name` is bos or eos. `fallback`: where the file has no id.
struct GgufSpecial {
  std::string_view name;
  bool added = false;  // unless the file says otherwise
  int32_t fallback = -1;
};
Result<void> read_special(const GgufFile& gguf, const GgufSpecial& special,
                          std::vector<int32_t>& ids);

// tokenizer.ggml.model gpt2, llama, and t5.
Result<TokenizerParts> read_gguf_byte_bpe(const GgufFile& gguf);
Result<TokenizerParts> read_gguf_sentencepiece(const GgufFile& gguf);
Result<TokenizerParts> read_gguf_unigram(const GgufFile& gguf);

}  // namespace hearth::engine
