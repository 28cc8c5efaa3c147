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

Result<ModelOptions> read_bpe(const JsonObject& model, bool byte_level, const ModelLists& lists) {
  HEARTH_RETURN_IF_ERROR(refuse_other_bpe(model));
  HEARTH_RETURN_IF_ERROR(model.object("vocab"));
  HEARTH_RETURN_IF_ERROR(model.array("merges"));
  ModelOptions options{.byte_level = byte_level};
  HEARTH_TRY(options.byte_fallback, model.boolean_or("byte_fallback", false));
  HEARTH_TRY(options.ignore_merges, model.boolean_or("ignore_merges", false));
  HEARTH_TRY(options.fuse_unknown, model.boolean_or("fuse_unk", false));
  HEARTH_TRY(const std::string unknown, model.text_or("unk_token", ""));
  options.unknown_id = lists.vocabulary.id_of(unknown);
  return options;
}

Result<ModelOptions> read_unigram(const JsonObject& model, const ModelLists& lists) {
  HEARTH_RETURN_IF_ERROR(model.array("vocab"));
  ModelOptions options{.unigram = true};
  if (model.has("unk_id")) {
    HEARTH_TRY(const int64_t unknown,
               model.integer("unk_id", 0, static_cast<int64_t>(lists.scores.size()) - 1));
    options.unknown_id = static_cast<int32_t>(unknown);
  }
  HEARTH_TRY(options.byte_fallback, model.boolean_or("byte_fallback", false));
  return options;
}

std::unique_ptr<const WordEncoder> build_bpe(const ModelOptions& options, ModelLists lists,
                                             const std::vector<std::string>& tokens) {
  const Vocabulary& vocabulary = lists.vocabulary;
  BpeOptions bpe;
  if (options.byte_level) {
    bpe.byte_ids = vocabulary.byte_ids();
  } else {
    bpe.unit = BpeUnit::kCharacter;
    bpe.character_ids = vocabulary.character_ids();
    if (options.byte_fallback) bpe.byte_ids = vocabulary.fallback_ids();
  }
  if (options.ignore_merges) {
    bpe.whole_words = options.byte_level ? vocabulary.words() : vocabulary.texts();
  }
  bpe.fuse_unknown = options.fuse_unknown;
  bpe.unknown_id = options.unknown_id;
  bpe.merges = std::move(lists.merges);
  return std::make_unique<Bpe>(std::move(bpe), tokens);
}

std::unique_ptr<const WordEncoder> build_unigram(const ModelOptions& options,
                                                 const ModelLists& lists) {
  UnigramOptions unigram;
  double lowest = std::numeric_limits<double>::infinity();
  unigram.tokens.reserve(lists.scores.size());
  for (size_t id = 0; id < lists.scores.size(); ++id) {
    const double score = lists.scores[id];
    unigram.tokens.push_back({lists.vocabulary.text(id), static_cast<int32_t>(id), score});
    lowest = std::min(lowest, score);
  }
  unigram.unknown_score = lowest - kUnknownPenalty;
  unigram.unknown_id = options.unknown_id;
  unigram.byte_fallback = options.byte_fallback;
  if (unigram.byte_fallback) unigram.byte_ids = lists.vocabulary.fallback_ids();
  return std::make_unique<Unigram>(unigram);
}

}  // namespace

// In an object a token and its id, in an array [token, score].
Result<void> ModelLists::add_token(const std::string* key, const json& element) {
  if (key != nullptr) {
    const bool id = element.is_number_integer() && element >= 0 && element <= Vocabulary::kIdMax;
    if (!id || vocabulary.id_of(*key) >= 0) {
      return wrong_json_value(
          where_ + ": vocab", *key,
          id ? "once" : fmt::format("an integer from 0 to {}", Vocabulary::kIdMax));
    }
    return vocabulary.add(*key, element.get<int64_t>());
  }
  const bool pair = element.is_array() && element.size() == 2 && element[0].is_string() &&
                    element[1].is_number() && std::isfinite(element[1].get<double>());
  const std::string* text = pair ? element[0].get_ptr<const std::string*>() : nullptr;
  if (text == nullptr || text->size() > Unigram::kTokenBytesMax) {
    return wrong_json_value(
        where_, "vocab",
        fmt::format("[token of at most {} bytes, finite score]", Unigram::kTokenBytesMax));
  }
  HEARTH_RETURN_IF_ERROR(vocabulary.add(*text, static_cast<int64_t>(scores.size())));
  scores.push_back(element[1].get<double>());
  return {};
}

// "a b" or ["a", "b"].
Result<void> ModelLists::add_merge(const std::string* key, const json& element) {
  if (merges.size() >= kMergesMax) {
    return wrong_json_value(where_, "merges", fmt::format("at most {} merges", kMergesMax));
  }
  std::string_view left;
  std::string_view right;
  if (element.is_string()) {
    const std::string_view text = element.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
      left = text.substr(0, space);
      right = text.substr(space + 1);
    }
  } else if (element.is_array() && element.size() == 2 && element[0].is_string() &&
             element[1].is_string()) {
    left = element[0].get_ref<const std::string&>();
    right = element[1].get_ref<const std::string&>();
  }
  if (key != nullptr || left.empty() || right.empty()) {
    return wrong_json_value(where_, "merges", "\"a b\" or [\"a\", \"b\"]");
  }
  HEARTH_TRY(BpeMerge merge, vocabulary.merge(left, right));
  merge.rank = static_cast<int32_t>(merges.size());
  if (merges.empty()) merges.reserve(kMergesMax);  // untouched pages cost less than copies
  merges.push_back(merge);
  return {};
}

Result<ModelOptions> read_model(const JsonObject& root, bool byte_level, const ModelLists& lists) {
  HEARTH_TRY(const JsonObject model, root.object("model"));
  // Files from before the model had a type: Unigram's vocabulary is a list, BPE has merges.
  const json* vocab = model.find("vocab");
  const bool list = vocab != nullptr && vocab->is_array();
  HEARTH_TRY(const std::string type, model.text_or("type", list ? "Unigram" : "BPE"));
  if (type == "BPE") return read_bpe(model, byte_level, lists);
  if (type != "Unigram") return unsupported(model, "type " + type + " (known: BPE, Unigram)");
  if (byte_level) return unsupported(model, "type Unigram behind a ByteLevel pre_tokenizer");
  return read_unigram(model, lists);
}

std::unique_ptr<const WordEncoder> build_model(const ModelOptions& options, ModelLists lists,
                                               const std::vector<std::string>& tokens) {
  return options.unigram ? build_unigram(options, lists)
                         : build_bpe(options, std::move(lists), tokens);
}

}  // namespace hearth::engine
