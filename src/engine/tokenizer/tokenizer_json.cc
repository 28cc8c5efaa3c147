#include "engine/tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "engine/formats/json.h"
#include "engine/tokenizer/byte_level.h"
#include "engine/tokenizer/patterns.h"
#include "engine/tokenizer/vocabulary.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr size_t kAddedTokenBytesMax = 4096;

Error unsupported(const JsonObject& object, std::string_view what) {
  return Error(Code::kUnsupported, fmt::format("{}: {}", object.where(), what));
}

// Calls `read` with each component of `value`: those of a Sequence in order, else itself; none for
// null.
Result<void> for_each_component(const json* value, const std::string& where, std::string_view list,
                                const std::function<Result<void>(const JsonObject&)>& read) {
  if (value == nullptr) return {};
  HEARTH_TRY(const JsonObject component, JsonObject::of(*value, where));
  HEARTH_TRY(const std::string type, component.text("type"));
  if (type != "Sequence") return read(component);
  HEARTH_TRY(const json* elements, component.array(list));
  for (const json& element : *elements) {
    HEARTH_RETURN_IF_ERROR(for_each_component(&element, where, list, read));
  }
  return {};
}

Result<Normalizer> read_normalizer(const JsonObject& root) {
  std::vector<NormalForm> forms;
  HEARTH_RETURN_IF_ERROR(
      for_each_component(root.find("normalizer"), root.where() + ": normalizer", "normalizers",
                         [&](const JsonObject& normalizer) -> Result<void> {
                           HEARTH_TRY(const std::string type, normalizer.text("type"));
                           if (type == "NFC") {
                             forms.push_back(NormalForm::kNfc);
                           } else if (type == "NFD") {
                             forms.push_back(NormalForm::kNfd);
                           } else if (type == "NFKC") {
                             forms.push_back(NormalForm::kNfkc);
                           } else if (type == "NFKD") {
                             forms.push_back(NormalForm::kNfkd);
                           } else {
                             return unsupported(normalizer, "type " + type);
                           }
                           return {};
                         }));
  return Normalizer(std::move(forms));
}

Result<SplitBehavior> read_behavior(const JsonObject& split) {
  HEARTH_TRY(const std::string behavior, split.text("behavior"));
  if (behavior == "Isolated") return SplitBehavior::kIsolated;
  if (behavior == "Removed") return SplitBehavior::kRemoved;
  if (behavior == "Contiguous") return SplitBehavior::kContiguous;
  if (behavior == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (behavior == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  return unsupported(split, "behavior " + behavior);
}

Result<PreTokenizerStep> read_split(const JsonObject& split) {
  PreTokenizerStep step;
  HEARTH_TRY(const JsonObject pattern, split.object("pattern"));
  if (pattern.has("String")) {
    HEARTH_TRY(const std::string text, pattern.text("String"));
    HEARTH_TRY(step.pattern, Pattern::literal(text, split.where()));
  } else {
    HEARTH_TRY(const std::string regex, pattern.text("Regex"));
    HEARTH_TRY(step.pattern, Pattern::compile(regex, split.where()));
  }
  HEARTH_TRY(step.behavior, read_behavior(split));
  HEARTH_TRY(step.invert, split.boolean_or("invert", false));
  return step;
}

Result<PreTokenizerStep> read_digits(const JsonObject& digits) {
  PreTokenizerStep step;
  HEARTH_TRY(const bool individual, digits.boolean_or("individual_digits", false));
  HEARTH_TRY(step.pattern, Pattern::compile(R"(\p{N})", digits.where()));
  step.behavior = individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
  return step;
}

Result<PreTokenizerStep> read_byte_level(const JsonObject& byte_level) {
  PreTokenizerStep step;
  HEARTH_TRY(step.add_prefix_space, byte_level.boolean_or("add_prefix_space", true));
  HEARTH_TRY(const bool use_regex, byte_level.boolean_or("use_regex", true));
  if (use_regex) {
    HEARTH_TRY(step.pattern, Pattern::compile(patterns::kGpt2, byte_level.where()));
  }
  return step;
}

Result<PreTokenizer> read_pre_tokenizer(const JsonObject& root) {
  std::vector<PreTokenizerStep> steps;
  bool in_bytes = false;  // ByteLevel has been seen, whose output is the byte alphabet
  HEARTH_RETURN_IF_ERROR(
      for_each_component(root.find("pre_tokenizer"), root.where() + ": pre_tokenizer",
                         "pretokenizers", [&](const JsonObject& component) -> Result<void> {
                           HEARTH_TRY(const std::string type, component.text("type"));
                           if (in_bytes) return unsupported(component, type + " after ByteLevel");
                           if (type == "Split") {
                             HEARTH_TRY(PreTokenizerStep step, read_split(component));
                             steps.push_back(std::move(step));
                           } else if (type == "Digits") {
                             HEARTH_TRY(PreTokenizerStep step, read_digits(component));
                             steps.push_back(std::move(step));
                           } else if (type == "ByteLevel") {
                             in_bytes = true;
                             HEARTH_TRY(PreTokenizerStep step, read_byte_level(component));
                             steps.push_back(std::move(step));
                           } else {
                             return unsupported(component, "type " + type);
                           }
                           return {};
                         }));
  if (!in_bytes) return unsupported(root, "a pre_tokenizer without ByteLevel");
  return PreTokenizer(std::move(steps));
}

Result<void> check_decoder(const JsonObject& root) {
  bool byte_level = false;
  HEARTH_RETURN_IF_ERROR(
      for_each_component(root.find("decoder"), root.where() + ": decoder", "decoders",
                         [&](const JsonObject& decoder) -> Result<void> {
                           HEARTH_TRY(const std::string type, decoder.text("type"));
                           if (type != "ByteLevel" || byte_level) {
                             return unsupported(decoder, "type " + type);
                           }
                           byte_level = true;
                           return {};
                         }));
  if (!byte_level) return unsupported(root, "a decoder without ByteLevel");
  return {};
}

// The ids of one special token of a template.
Result<std::vector<int32_t>> template_ids(const JsonObject& processor, const JsonObject& piece) {
  HEARTH_TRY(const std::string name, piece.text("id"));
  HEARTH_TRY(const JsonObject tokens, processor.object("special_tokens"));
  HEARTH_TRY(const JsonObject token, tokens.object(name));
  HEARTH_TRY(const json* list, token.array("ids"));
  std::vector<int32_t> ids;
  for (const json& id : *list) {
    if (!id.is_number_integer() || id < 0 || id > Vocabulary::kIdMax) {
      return token.wrong("ids", "token ids");
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// TemplateProcessing: special tokens before and after the one sequence A.
Result<void> read_template(const JsonObject& processor, TokenizerParts& parts) {
  HEARTH_TRY(const json* pieces, processor.array("single"));
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;
  int sequences = 0;
  for (const json& element : *pieces) {
    HEARTH_TRY(const JsonObject piece, JsonObject::of(element, processor.where() + ": single"));
    if (piece.has("Sequence")) {
      ++sequences;
      continue;
    }
    HEARTH_TRY(const JsonObject special, piece.object("SpecialToken"));
    HEARTH_TRY(const std::vector<int32_t> ids, template_ids(processor, special));
    std::vector<int32_t>& side = sequences == 0 ? prefix : suffix;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (sequences != 1) return processor.wrong("single", "exactly one Sequence");
  parts.prefix.insert(parts.prefix.begin(), prefix.begin(), prefix.end());
  parts.suffix.insert(parts.suffix.end(), suffix.begin(), suffix.end());
  return {};
}

Result<void> read_post_processor(const JsonObject& root, TokenizerParts& parts) {
  return for_each_component(root.find("post_processor"), root.where() + ": post_processor",
                            "processors", [&](const JsonObject& processor) -> Result<void> {
                              HEARTH_TRY(const std::string type, processor.text("type"));
                              if (type == "ByteLevel") return {};  // it only moves offsets
                              if (type != "TemplateProcessing") {
                                return unsupported(processor, "type " + type);
                              }
                              return read_template(processor, parts);
                            });
}

// Options of BPE that byte-level tokenizers do not use.
Result<void> refuse_other_bpe(const JsonObject& model) {
  HEARTH_TRY(const std::string type, model.text_or("type", "BPE"));
  if (type != "BPE") return unsupported(model, "type " + type + " (known: BPE)");
  HEARTH_TRY(const bool byte_fallback, model.boolean_or("byte_fallback", false));
  if (byte_fallback) return unsupported(model, "byte_fallback (SentencePiece)");
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

Result<void> read_model(const JsonObject& model, Vocabulary& vocabulary, BpeOptions& bpe) {
  HEARTH_TRY(const JsonObject checked, model.object("vocab"));
  for (const auto& [token, id] : model.find("vocab")->items()) {
    HEARTH_TRY(const int64_t number, checked.integer(token, 0, Vocabulary::kIdMax));
    HEARTH_RETURN_IF_ERROR(vocabulary.add(token, number));
  }
  HEARTH_TRY(const json* merges, model.array("merges"));
  bpe.merges.reserve(merges->size());
  for (const json& element : *merges) {
    HEARTH_TRY(const BpeMerge merge, read_merge(model, element, vocabulary));
    bpe.merges.push_back(merge);
  }
  bpe.byte_ids = vocabulary.byte_ids();
  HEARTH_TRY(const bool ignore_merges, model.boolean_or("ignore_merges", false));
  if (ignore_merges) bpe.whole_words = vocabulary.words();
  HEARTH_TRY(bpe.fuse_unknown, model.boolean_or("fuse_unk", false));
  HEARTH_TRY(const std::string unknown, model.text_or("unk_token", ""));
  if (!unknown.empty()) bpe.unknown_id = vocabulary.id_of(unknown);
  return {};
}

Result<std::vector<AddedToken>> read_added_tokens(const JsonObject& root, Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  if (!root.has("added_tokens")) return tokens;
  HEARTH_TRY(const json* list, root.array("added_tokens"));
  for (const json& element : *list) {
    HEARTH_TRY(const JsonObject object, JsonObject::of(element, root.where() + ": added_tokens"));
    AddedToken token;
    HEARTH_TRY(token.content, object.text("content"));
    HEARTH_TRY(const int64_t id, object.integer("id", 0, Vocabulary::kIdMax));
    HEARTH_TRY(token.special, object.boolean_or("special", false));
    HEARTH_TRY(token.single_word, object.boolean_or("single_word", false));
    HEARTH_TRY(token.lstrip, object.boolean_or("lstrip", false));
    HEARTH_TRY(token.rstrip, object.boolean_or("rstrip", false));
    HEARTH_TRY(token.normalized, object.boolean_or("normalized", !token.special));
    if (token.content.size() > kAddedTokenBytesMax) {
      return object.wrong("content", "at most 4096 bytes");
    }
    token.id = static_cast<int32_t>(id);
    HEARTH_RETURN_IF_ERROR(vocabulary.add(token.content, id));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

Result<TokenizerParts> parse_tokenizer_json(std::string_view text, const std::string& file) {
  HEARTH_TRY(const json document, parse_json(text, file, kTokenizerJsonLimits));
  HEARTH_TRY(const JsonObject root, JsonObject::of(document, file));
  HEARTH_TRY(const JsonObject model, root.object("model"));
  HEARTH_RETURN_IF_ERROR(refuse_other_bpe(model));
  TokenizerParts parts;
  HEARTH_TRY(parts.normalizer, read_normalizer(root));
  HEARTH_TRY(parts.pre_tokenizer, read_pre_tokenizer(root));
  HEARTH_RETURN_IF_ERROR(check_decoder(root));
  HEARTH_RETURN_IF_ERROR(read_post_processor(root, parts));
  Vocabulary vocabulary(file);
  HEARTH_RETURN_IF_ERROR(read_model(model, vocabulary, parts.bpe));
  HEARTH_TRY(parts.added, read_added_tokens(root, vocabulary));
  for (const std::string& token : vocabulary.tokens()) {
    // The decoder gives a token back as it is written if it is not wholly in the byte alphabet.
    parts.token_bytes.push_back(bytes_of_token(token).value_or(token));
  }
  return parts;
}

}  // namespace hearth::engine
