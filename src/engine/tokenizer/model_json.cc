// The model of tokenizer.json: BPE or Unigram.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/json_parts.h"
#include "engine/tokenizer/unigram.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

// What the unigram model subtracts from its lowest score for a character that no token covers.
constexpr double kUnknownPenalty = 10.0;

// Options of BPE that no tokenizer of a language model uses.
Result<void> refuse_other_bpe(const JsonObject& model) {
  HEARTH_TRY(const double dropout, model.number_or("dropout", 0.0));
  if (dropout != 0.0) return unsupported(model, "dropout");
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    HEARTH_TRY(const std::string affix, model.text_or(key, ""));
    if (!affix.empty()) return unsupported(model, key);
  }
  return {};
}

// One merge, "a b" or ["a", "b"].
Result<BpeMerge> read_merge(const JsonObject& model, const json& merge,
                            const Vocabulary& vocabulary) {
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
      return vocabulary.merge(text.substr(0, space), text.substr(space + 1));
    }
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
             merge[1].is_string()) {
    return vocabulary.merge(merge[0].get_ref<const std::string&>(),
                            merge[1].get_ref<const std::string&>());
  }
  return model.wrong("merges", "\"a b\" or [\"a\", \"b\"]");
}

Result<std::unique_ptr<const WordEncoder>> read_bpe(const JsonObject& model, bool byte_level,
                                                    Vocabulary& vocabulary) {
  HEARTH_RETURN_IF_ERROR(refuse_other_bpe(model));
  HEARTH_TRY(const JsonObject checked, model.object("vocab"));
  for (const auto& [token, id] : model.find("vocab")->items()) {
    HEARTH_TRY(const int64_t number, checked.integer(token, 0, Vocabulary::kIdMax));
    HEARTH_RETURN_IF_ERROR(vocabulary.add(token, number));
  }
  BpeOptions bpe;
  HEARTH_TRY(const json* merges, model.array("merges"));
  bpe.merges.reserve(merges->size());
  for (const json& element : *merges) {
    HEARTH_TRY(BpeMerge merge, read_merge(model, element, vocabulary));
    merge.rank = static_cast<int32_t>(bpe.merges.size());
    bpe.merges.push_back(merge);
  }
  HEARTH_TRY(const bool byte_fallback, model.boolean_or("byte_fallback", false));
  if (byte_level) {
    bpe.byte_ids = vocabulary.byte_ids();
  } else {
    bpe.unit = BpeUnit::kCharacter;
    bpe.character_ids = vocabulary.character_ids();
    if (byte_fallback) bpe.byte_ids = vocabulary.fallback_ids();
  }
  HEARTH_TRY(const bool ignore_merges, model.boolean_or("ignore_merges", false));
  if (ignore_merges) bpe.whole_words = byte_level ? vocabulary.words() : vocabulary.texts();
  HEARTH_TRY(bpe.fuse_unknown, model.boolean_or("fuse_unk", false));
  HEARTH_TRY(const std::string unknown, model.text_or("unk_token", ""));
  if (!unknown.empty()) bpe.unknown_id = vocabulary.id_of(unknown);
  return std::unique_ptr<const WordEncoder>(
      std::make_unique<Bpe>(std::move(bpe), vocabulary.tokens()));
}

Result<std::unique_ptr<const WordEncoder>> read_unigram(const JsonObject& model,
                                                        Vocabulary& vocabulary) {
  HEARTH_TRY(const json* list, model.array("vocab"));
  if (list->size() > static_cast<size_t>(Vocabulary::kIdMax)) {
    return model.wrong("vocab", fmt::format("at most {} tokens", Vocabulary::kIdMax));
  }
  UnigramOptions unigram;
  double lowest = std::numeric_limits<double>::infinity();
  for (const json& element : *list) {
    const bool pair = element.is_array() && element.size() == 2 && element[0].is_string() &&
                      element[1].is_number() && std::isfinite(element[1].get<double>());
    const std::string* text = pair ? element[0].get_ptr<const std::string*>() : nullptr;
    if (text == nullptr || text->size() > Unigram::kTokenBytesMax) {
      return model.wrong("vocab", fmt::format("[token of at most {} bytes, finite score]",
                                              Unigram::kTokenBytesMax));
    }
    const auto id = static_cast<int32_t>(unigram.tokens.size());
    HEARTH_RETURN_IF_ERROR(vocabulary.add(*text, id));
    unigram.tokens.push_back({*text, id, element[1].get<double>()});
    lowest = std::min(lowest, unigram.tokens.back().score);
  }
  unigram.unknown_score = lowest - kUnknownPenalty;
  if (model.has("unk_id")) {
    HEARTH_TRY(const int64_t unknown,
               model.integer("unk_id", 0, static_cast<int64_t>(list->size()) - 1));
    unigram.unknown_id = static_cast<int32_t>(unknown);
  }
  HEARTH_TRY(unigram.byte_fallback, model.boolean_or("byte_fallback", false));
  if (unigram.byte_fallback) unigram.byte_ids = vocabulary.fallback_ids();
  return std::unique_ptr<const WordEncoder>(std::make_unique<Unigram>(unigram));
}

}  // namespace

Result<std::unique_ptr<const WordEncoder>> read_model(const JsonObject& root, bool byte_level,
                                                      Vocabulary& vocabulary) {
  HEARTH_TRY(const JsonObject model, root.object("model"));
  // Files from before the model had a type: Unigram's vocabulary is a list, BPE has merges.
  const json* vocab = model.find("vocab");
  const bool list = vocab != nullptr && vocab->is_array();
  HEARTH_TRY(const std::string type, model.text_or("type", list ? "Unigram" : "BPE"));
  if (type == "BPE") return read_bpe(model, byte_level, vocabulary);
  if (type != "Unigram") return unsupported(model, "type " + type + " (known: BPE, Unigram)");
  if (byte_level) return unsupported(model, "type Unigram behind a ByteLevel pre_tokenizer");
  return read_unigram(model, vocabulary);
}

}  // namespace hearth::engine
