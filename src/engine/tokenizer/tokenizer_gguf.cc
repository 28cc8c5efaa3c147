#include "engine/tokenizer/tokenizer_gguf.h"

#include <fmt/format.h>

#include "engine/tokenizer/byte_level.h"
#include "engine/tokenizer/patterns.h"
#include "engine/tokenizer/vocabulary.h"

namespace hearth::engine {
namespace {

// Values of tokenizer.ggml.token_type.
constexpr int64_t kNormal = 1;
constexpr int64_t kUnknown = 2;
constexpr int64_t kControl = 3;
constexpr int64_t kUserDefined = 4;

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";

Error unsupported(const GgufFile& gguf, std::string_view what) {
  return Error(Code::kUnsupported, fmt::format("{}: {}", gguf.file(), what));
}

Result<const patterns::Family*> read_family(const GgufFile& gguf) {
  HEARTH_TRY(const std::string_view model, gguf.text("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return unsupported(gguf, fmt::format("tokenizer.ggml.model {} (known: gpt2)", model));
  }
  HEARTH_TRY(const std::string_view name, gguf.text_or("tokenizer.ggml.pre", "default"));
  const patterns::Family* family = patterns::family_of(name);
  if (family == nullptr) return unsupported(gguf, fmt::format("tokenizer.ggml.pre {}", name));
  return family;
}

// Tokens by type: words go to `words`, the others are found in text as they are written.
Result<void> read_tokens(const GgufFile& gguf, Vocabulary& words, TokenizerParts& parts) {
  HEARTH_TRY(const std::vector<std::string_view> tokens, gguf.texts(kTokens));
  std::vector<int64_t> types(tokens.size(), kNormal);
  if (gguf.has(kTypes)) {
    HEARTH_TRY(types, gguf.integers(kTypes));
  }
  if (types.size() != tokens.size()) {
    return gguf.wrong(kTypes, fmt::format("{} types, one for each token", tokens.size()));
  }
  if (tokens.size() > static_cast<size_t>(Vocabulary::kIdMax)) {
    return gguf.wrong(kTokens, fmt::format("at most {} tokens", Vocabulary::kIdMax));
  }
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string content(tokens[id]);
    const bool special = types[id] == kControl || types[id] == kUnknown;
    if (special || types[id] == kUserDefined) {
      parts.added.push_back(
          {.content = content, .id = static_cast<int32_t>(id), .special = special});
      parts.token_bytes.push_back(content);
      continue;
    }
    if (types[id] == kNormal) {
      HEARTH_RETURN_IF_ERROR(words.add(content, static_cast<int64_t>(id)));
    }
    parts.token_bytes.push_back(bytes_of_token(content).value_or(content));
  }
  return {};
}

Result<void> read_merges(const GgufFile& gguf, const Vocabulary& words, BpeOptions& bpe) {
  HEARTH_TRY(const std::vector<std::string_view> merges, gguf.texts(kMerges));
  bpe.merges.reserve(merges.size());
  for (const std::string_view merge : merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos) return gguf.wrong(kMerges, "\"a b\"");
    // A merge of or into what is no token never gives one; llama.cpp accepts files that have such
    // merges.
    const auto read = words.merge(merge.substr(0, space), merge.substr(space + 1));
    if (read.ok()) bpe.merges.push_back(*read);
  }
  return {};
}

// The id to put before or after a text, if the file or its family wants one.
Result<void> read_special(const GgufFile& gguf, std::string_view name, bool by_default,
                          std::vector<int32_t>& ids) {
  HEARTH_TRY(const bool wanted,
             gguf.boolean_or(fmt::format("tokenizer.ggml.add_{}_token", name), by_default));
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  if (!wanted || !gguf.has(key)) return {};
  HEARTH_TRY(const int64_t id, gguf.integer(key, 0, Vocabulary::kIdMax));
  ids.push_back(static_cast<int32_t>(id));
  return {};
}

}  // namespace

Result<TokenizerParts> read_tokenizer_gguf(const GgufFile& gguf) {
  if (!gguf.has("tokenizer.ggml.model")) {
    return Error(Code::kNotFound, fmt::format("{}: the file holds no tokenizer", gguf.file()));
  }
  HEARTH_TRY(const patterns::Family* family, read_family(gguf));
  TokenizerParts parts;
  std::vector<PreTokenizerStep> steps;
  for (const std::string_view pattern : family->patterns) {
    HEARTH_TRY(Pattern compiled, Pattern::compile(pattern, gguf.file()));
    steps.push_back({.pattern = std::move(compiled)});
  }
  parts.pre_tokenizer = PreTokenizer(std::move(steps));
  if (family->nfc) parts.normalizer = Normalizer({NormalForm::kNfc});
  Vocabulary words(gguf.file());
  HEARTH_RETURN_IF_ERROR(read_tokens(gguf, words, parts));
  HEARTH_RETURN_IF_ERROR(read_merges(gguf, words, parts.bpe));
  parts.bpe.byte_ids = words.byte_ids();
  if (family->ignore_merges) parts.bpe.whole_words = words.words();
  HEARTH_RETURN_IF_ERROR(read_special(gguf, "bos", family->add_bos, parts.prefix));
  HEARTH_RETURN_IF_ERROR(read_special(gguf, "eos", false, parts.suffix));
  return parts;
}

}  // namespace hearth::engine
