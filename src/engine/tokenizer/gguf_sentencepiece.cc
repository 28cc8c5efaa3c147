// tokenizer.ggml.model llama and t5: SentencePiece's BPE and unigram models.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/gguf_readers.h"
#include "engine/tokenizer/unicode.h"
#include "engine/tokenizer/unigram.h"
#include "engine/tokenizer/vocabulary.h"

namespace hearth::engine {
namespace {

constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kCharsmap = "tokenizer.ggml.precompiled_charsmap";
constexpr std::string_view kMark = "\u2581";  // stands for a space
constexpr double kUnknownPenalty = 10.0;
// Every way to cut a token in two is looked at.
constexpr size_t kTokenBytesMax = 512;

struct Scored {
  GgufTokens tokens;
  std::vector<float> scores;  // by id
};

Result<Scored> read_scored(const GgufFile& gguf, size_t bytes_max) {
  Scored scored;
  HEARTH_TRY(scored.tokens, read_tokens(gguf));
  const std::vector<std::string_view>& texts = scored.tokens.texts;
  HEARTH_TRY(scored.scores, gguf.floats(kScores));
  const auto finite = [](float score) { return std::isfinite(score); };
  if (scored.scores.size() != texts.size() ||
      !std::all_of(scored.scores.begin(), scored.scores.end(), finite)) {
    return gguf.wrong(kScores, fmt::format("{} finite numbers, one for each token", texts.size()));
  }
  for (const std::string_view text : texts) {
    if (text.size() > bytes_max) {
      return gguf.wrong("tokenizer.ggml.tokens", fmt::format("at most {} bytes each", bytes_max));
    }
  }
  return scored;
}

bool is_normal(const Scored& scored, size_t id) {
  return scored.tokens.types[id] == GgufTokenType::kNormal && !scored.tokens.texts[id].empty();
}

Result<std::array<int32_t, 256>> read_byte_ids(const GgufFile& gguf, const GgufTokens& tokens) {
  std::array<int32_t, 256> ids = BpeOptions::no_bytes();
  for (size_t id = 0; id < tokens.texts.size(); ++id) {
    if (tokens.types[id] != GgufTokenType::kByte) continue;
    const int byte = byte_of_token(tokens.texts[id]);
    if (byte < 0) return gguf.wrong("tokenizer.ggml.tokens", "byte tokens of the form <0x0A>");
    ids[static_cast<size_t>(byte)] = static_cast<int32_t>(id);
  }
  return ids;
}

Result<int32_t> read_unknown(const GgufFile& gguf, const GgufTokens& tokens) {
  const auto found = std::find(tokens.types.begin(), tokens.types.end(), GgufTokenType::kUnknown);
  const int64_t by_type = found == tokens.types.end() ? -1 : found - tokens.types.begin();
  HEARTH_TRY(const int64_t id, gguf.integer_or("tokenizer.ggml.unknown_token_id", by_type, -1,
                                               static_cast<int64_t>(tokens.texts.size()) - 1));
  return static_cast<int32_t>(id);
}

// SentencePiece joins any two neighbours that make a token, that of the highest score first. Each
// way to cut a token in two is a merge, ranked by the token's score.
class MergesOfScores {
 public:
  explicit MergesOfScores(const Scored& scored) : scored_(scored), ids_(entries(scored)) {}

  void run(BpeOptions& bpe) {
    bpe.parts_begin = static_cast<int32_t>(scored_.scores.size());
    std::vector<int32_t> order;
    for (size_t id = 0; id < scored_.scores.size(); ++id) {
      if (!is_normal(scored_, id)) continue;
      const std::string_view text = scored_.tokens.texts[id];
      const auto token = static_cast<int32_t>(id);
      if (text.size() == character_bytes(text)) {
        bpe.character_ids.insert_or_assign(first_character(text), token);
      } else if (ids_.find(text) == token) {
        order.push_back(token);
      }
    }
    const auto score = [&](int32_t id) { return scored_.scores[static_cast<size_t>(id)]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return score(a) > score(b); });
    int32_t rank = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0 && score(order[i]) != score(order[i - 1])) ++rank;
      add_cuts(order[i], rank, bpe);
    }
  }

 private:
  static std::vector<Trie::Entry> entries(const Scored& scored) {
    std::vector<Trie::Entry> entries;
    for (size_t id = 0; id < scored.scores.size(); ++id) {
      if (is_normal(scored, id)) {
        entries.push_back({scored.tokens.texts[id], static_cast<int32_t>(id)});
      }
    }
    return entries;
  }

  // The id of what can stand on one side of a merge: a token, or a character that is none.
  int32_t side_of(std::string_view text, BpeOptions& bpe) {
    const int32_t id = ids_.find(text);
    if (id >= 0 || text.size() != character_bytes(text)) return id;
    const char32_t c = first_character(text);
    const auto [found, added] =
        part_ids_.emplace(c, bpe.parts_begin + static_cast<int32_t>(bpe.parts.size()));
    if (added) bpe.parts.push_back(c);
    return found->second;
  }

  void add_cuts(int32_t token, int32_t rank, BpeOptions& bpe) {
    const std::string_view text = scored_.tokens.texts[static_cast<size_t>(token)];
    for (size_t at = character_bytes(text); at < text.size();
         at += character_bytes(text.substr(at))) {
      const int32_t left = side_of(text.substr(0, at), bpe);
      const int32_t right = left < 0 ? -1 : side_of(text.substr(at), bpe);
      if (right >= 0) bpe.merges.push_back({left, right, token, rank});
    }
  }

  const Scored& scored_;
  Trie ids_;
  std::unordered_map<char32_t, int32_t> part_ids_;
};

Decoder decoder_of(bool add_space_prefix) {
  std::vector<DecoderStep> steps = {decoding::Replace{std::string(kMark), " "},
                                    decoding::ByteFallback{}};
  if (add_space_prefix) steps.emplace_back(decoding::StripStart{" "});
  return Decoder(std::move(steps));
}

Result<NormalizerStep> pattern_step(const GgufFile& gguf, std::string_view from,
                                    std::string_view to) {
  HEARTH_TRY(Pattern pattern, Pattern::compile(from, gguf.file()));
  return NormalizerStep(normalizing::ReplacePattern{std::move(pattern), std::string(to)});
}

Result<Normalizer> read_unigram_normalizer(const GgufFile& gguf, bool add_space_prefix) {
  std::vector<NormalizerStep> steps;
  if (gguf.has(kCharsmap)) {
    HEARTH_TRY(const std::string_view blob, gguf.byte_array(kCharsmap));
    HEARTH_TRY(Charsmap map, Charsmap::parse(blob, CharsmapLookup::kLongestMatch,
                                             fmt::format("{}: {}", gguf.file(), kCharsmap)));
    steps.emplace_back(normalizing::Precompiled{std::make_shared<const Charsmap>(std::move(map))});
  }
  HEARTH_TRY(const bool squash, gguf.boolean_or("tokenizer.ggml.remove_extra_whitespaces", false));
  if (squash) {
    HEARTH_TRY(NormalizerStep trim, pattern_step(gguf, R"(\A +|(?<! ) ++\z)", ""));
    steps.push_back(std::move(trim));
    HEARTH_TRY(NormalizerStep join, pattern_step(gguf, " {2,}", " "));
    steps.push_back(std::move(join));
  }
  if (add_space_prefix) steps.emplace_back(normalizing::Prepend{" "});
  steps.emplace_back(normalizing::ReplaceText{" ", std::string(kMark)});
  return Normalizer(std::move(steps));
}

// GGUF cannot say that a token takes the white space behind it. Phi 3's tokens do, but for three.
Result<void> set_strips(const GgufFile& gguf, TokenizerParts& parts) {
  HEARTH_TRY(const std::string_view architecture, gguf.text_or("general.architecture", ""));
  if (architecture != "phi3") return {};
  for (AddedToken& token : parts.added) {
    token.rstrip =
        token.content != "<unk>" && token.content != "<s>" && token.content != "<|endoftext|>";
  }
  return {};
}

}  // namespace

Result<TokenizerParts> read_gguf_sentencepiece(const GgufFile& gguf) {
  HEARTH_TRY(const Scored scored, read_scored(gguf, kTokenBytesMax));
  TokenizerParts parts;
  set_tokens(scored.tokens, parts);
  HEARTH_RETURN_IF_ERROR(set_strips(gguf, parts));
  BpeOptions bpe{.unit = BpeUnit::kCharacter, .fuse_unknown = true};
  HEARTH_TRY(bpe.byte_ids, read_byte_ids(gguf, scored.tokens));
  HEARTH_TRY(bpe.unknown_id, read_unknown(gguf, scored.tokens));
  MergesOfScores(scored).run(bpe);
  parts.encoder = std::make_unique<Bpe>(std::move(bpe), parts.tokens);
  HEARTH_TRY(const bool prefix, gguf.boolean_or("tokenizer.ggml.add_space_prefix", true));
  std::vector<NormalizerStep> steps;
  if (prefix) steps.emplace_back(normalizing::Prepend{std::string(kMark)});
  steps.emplace_back(normalizing::ReplaceText{" ", std::string(kMark)});
  parts.normalizer = Normalizer(std::move(steps));
  parts.decoder = decoder_of(prefix);
  HEARTH_RETURN_IF_ERROR(
      read_special(gguf, {.name = "bos", .added = true, .fallback = 1}, parts.prefix));
  HEARTH_RETURN_IF_ERROR(read_special(gguf, {.name = "eos", .fallback = 2}, parts.suffix));
  return parts;
}

Result<TokenizerParts> read_gguf_unigram(const GgufFile& gguf) {
  HEARTH_TRY(const Scored scored, read_scored(gguf, Unigram::kTokenBytesMax));
  TokenizerParts parts;
  set_tokens(scored.tokens, parts);
  UnigramOptions unigram;
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t id = 0; id < scored.scores.size(); ++id) {
    if (!is_normal(scored, id)) continue;
    const double score = scored.scores[id];
    unigram.tokens.push_back({scored.tokens.texts[id], static_cast<int32_t>(id), score});
    lowest = std::min(lowest, score);
  }
  unigram.unknown_score = lowest - kUnknownPenalty;
  HEARTH_TRY(unigram.unknown_id, read_unknown(gguf, scored.tokens));
  HEARTH_TRY(unigram.byte_ids, read_byte_ids(gguf, scored.tokens));
  unigram.byte_fallback = true;
  parts.encoder = std::make_unique<Unigram>(unigram);
  HEARTH_TRY(const bool prefix, gguf.boolean_or("tokenizer.ggml.add_space_prefix", false));
  HEARTH_TRY(parts.normalizer, read_unigram_normalizer(gguf, prefix));
  parts.decoder = decoder_of(prefix);
  HEARTH_RETURN_IF_ERROR(read_special(gguf, {.name = "bos"}, parts.prefix));
  HEARTH_RETURN_IF_ERROR(
      read_special(gguf, {.name = "eos", .added = true, .fallback = 1}, parts.suffix));
  return parts;
}

}  // namespace hearth::engine
