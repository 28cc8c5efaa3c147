#include "engine/tokenizer/tokenizer_gguf.h"

#include <fmt/format.h>

#include "engine/tokenizer/gguf_readers.h"
#include "engine/tokenizer/vocabulary.h"

namespace hearth::engine {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";

}  // namespace

Result<GgufTokens> read_tokens(const GgufFile& gguf) {
  GgufTokens tokens;
  HEARTH_TRY(tokens.texts, gguf.texts(kTokens));
  if (tokens.texts.size() > static_cast<size_t>(Vocabulary::kIdMax)) {
    return gguf.wrong(kTokens, fmt::format("at most {} tokens", Vocabulary::kIdMax));
  }
  tokens.types.assign(tokens.texts.size(), GgufTokenType::kNormal);
  if (!gguf.has(kTypes)) return tokens;
  HEARTH_TRY(const std::vector<int64_t> types, gguf.integers(kTypes));
  if (types.size() != tokens.texts.size()) {
    return gguf.wrong(kTypes, fmt::format("{} types, one for each token", tokens.texts.size()));
  }
  for (size_t id = 0; id < types.size(); ++id) {
    tokens.types[id] = static_cast<GgufTokenType>(types[id]);
  }
  return tokens;
}

void set_tokens(const GgufTokens& tokens, TokenizerParts& parts) {
  parts.tokens.assign(tokens.texts.begin(), tokens.texts.end());
  parts.verbatim.resize(tokens.texts.size());
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    const GgufTokenType type = tokens.types[id];
    const bool special = type == GgufTokenType::kControl || type == GgufTokenType::kUnknown;
    if (!special && type != GgufTokenType::kUserDefined) continue;
    parts.verbatim[id] = true;
    parts.added.push_back(
        {.content = parts.tokens[id], .id = static_cast<int32_t>(id), .special = special});
  }
}

Result<void> read_special(const GgufFile& gguf, const GgufSpecial& special,
                          std::vector<int32_t>& ids) {
  HEARTH_TRY(
      const bool wanted,
      gguf.boolean_or(fmt::format("tokenizer.ggml.add_{}_token", special.name), special.added));
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", special.name);
  if (!wanted || (!gguf.has(key) && special.fallback < 0)) return {};
  HEARTH_TRY(const int64_t id, gguf.integer_or(key, special.fallback, 0, Vocabulary::kIdMax));
  ids.push_back(static_cast<int32_t>(id));
  return {};
}

Result<TokenizerParts> read_tokenizer_gguf(const GgufFile& gguf) {
  constexpr std::string_view kModel = "tokenizer.ggml.model";
  if (!gguf.has(kModel)) {
    return Error(Code::kNotFound, fmt::format("{}: the file holds no tokenizer", gguf.file()));
  }
  HEARTH_TRY(const std::string_view model, gguf.text(kModel));
  if (model == "gpt2") return read_gguf_byte_bpe(gguf);
  if (model == "llama") return read_gguf_sentencepiece(gguf);
  if (model == "t5") return read_gguf_unigram(gguf);
  return Error(Code::kUnsupported,
               fmt::format("{}: {} {} (known: gpt2, llama, t5)", gguf.file(), kModel, model));
}

}  // namespace hearth::engine
