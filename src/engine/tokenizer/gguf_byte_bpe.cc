// tokenizer.ggml.model gpt2: byte-level BPE.
#include <fmt/format.h>

#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/gguf_readers.h"
#include "engine/tokenizer/patterns.h"
#include "engine/tokenizer/vocabulary.h"

namespace hearth::engine {
namespace {

constexpr std::string_view kMerges = "tokenizer.ggml.merges";

Result<const patterns::Family*> read_family(const GgufFile& gguf) {
  HEARTH_TRY(const std::string_view name, gguf.text_or("tokenizer.ggml.pre", "default"));
  const patterns::Family* family = patterns::family_of(name);
  if (family != nullptr) return family;
  return Error(Code::kUnsupported, fmt::format("{}: tokenizer.ggml.pre {}", gguf.file(), name));
}

Result<void> read_merges(const GgufFile& gguf, const Vocabulary& words, BpeOptions& bpe) {
  HEARTH_TRY(const std::vector<std::string_view> merges, gguf.texts(kMerges));
  bpe.merges.reserve(merges.size());
  for (const std::string_view text : merges) {
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos) return gguf.wrong(kMerges, "\"a b\"");
    // A merge of or into what is no token never gives one; llama.cpp accepts files that have such
    // merges.
    const auto read = words.merge(text.substr(0, space), text.substr(space + 1));
    if (!read.ok()) continue;
    bpe.merges.push_back(*read);
    bpe.merges.back().rank = static_cast<int32_t>(bpe.merges.size());
  }
  return {};
}

}  // namespace

Result<TokenizerParts> read_gguf_byte_bpe(const GgufFile& gguf) {
  HEARTH_TRY(const patterns::Family* family, read_family(gguf));
  TokenizerParts parts;
  std::vector<PreTokenizerStep> steps;
  for (const std::string_view pattern : family->patterns) {
    HEARTH_TRY(Pattern compiled, Pattern::compile(pattern, gguf.file()));
    steps.emplace_back(Split{std::move(compiled)});
  }
  parts.pre_tokenizer = PreTokenizer(std::move(steps));
  if (family->nfc) parts.normalizer = Normalizer({NormalForm::kNfc});
  HEARTH_TRY(const GgufTokens tokens, read_tokens(gguf));
  set_tokens(tokens, parts);
  Vocabulary words(gguf.file());
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    if (tokens.types[id] != GgufTokenType::kNormal) continue;
    HEARTH_RETURN_IF_ERROR(words.add(tokens.texts[id], static_cast<int64_t>(id)));
  }
  BpeOptions bpe;
  HEARTH_RETURN_IF_ERROR(read_merges(gguf, words, bpe));
  bpe.byte_ids = words.byte_ids();
  if (family->ignore_merges) bpe.whole_words = words.words();
  parts.encoder = std::make_unique<Bpe>(std::move(bpe));
  parts.decoder = Decoder({decoding::ByteLevel{}});
  HEARTH_RETURN_IF_ERROR(
      read_special(gguf, {.name = "bos", .added = family->add_bos}, parts.prefix));
  HEARTH_RETURN_IF_ERROR(read_special(gguf, {.name = "eos"}, parts.suffix));
  return parts;
}

}  // namespace hearth::engine
