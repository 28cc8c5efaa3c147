#include "engine/tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine/formats/json_stream.h"
#include "engine/tokenizer/json_parts.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr size_t kAddedTokenBytesMax = 4096;
constexpr size_t kAddedTokensMax = 65'536;  // published files have up to 6,500
constexpr size_t kAddedBytesMax = 4 << 20;

Result<void> read_component(const json& value, const std::string& where, std::string_view list,
                            const ReadComponent& read) {
  HEARTH_TRY(const JsonObject component, JsonObject::of(value, where));
  HEARTH_TRY(const std::string type, component.text("type"));
  if (type != "Sequence") return read(component, type);
  HEARTH_TRY(const json* elements, component.array(list));
  for (const json& element : *elements) {
    HEARTH_RETURN_IF_ERROR(read_component(element, where, list, read));
  }
  return {};
}

// The list added_tokens; `where` names it.
class AddedTokens {
 public:
  explicit AddedTokens(std::string where) : where_(std::move(where)) {}

  Result<void> add(const json& element) {
    HEARTH_TRY(const JsonObject object, JsonObject::of(element, where_));
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
    bytes_ += token.content.size();
    if (tokens_.size() >= kAddedTokensMax || bytes_ > kAddedBytesMax) {
      return Error(Code::kCorrupt, fmt::format("{}: expected at most {} tokens of {} bytes in all",
                                               where_, kAddedTokensMax, kAddedBytesMax));
    }
    token.id = static_cast<int32_t>(id);
    tokens_.push_back(std::move(token));
    return {};
  }

  // An id belongs to one text, in the vocabulary and here.
  Result<void> check_ids(const Vocabulary& vocabulary) const {
    std::unordered_map<int32_t, std::string_view> texts;
    for (const AddedToken& token : tokens_) {
      HEARTH_RETURN_IF_ERROR(vocabulary.check_id(token.content, token.id));
      std::string_view& text = texts[token.id];
      if (!text.empty() && text != token.content) {
        return Error(Code::kCorrupt, fmt::format("{}: tokens {} and {} both have id {}", where_,
                                                 text, token.content, token.id));
      }
      text = token.content;
    }
    return {};
  }

  // With these tokens there are as many.
  size_t size_with(const Vocabulary& vocabulary) const {
    size_t size = vocabulary.size();
    for (const AddedToken& token : tokens_) {
      size = std::max(size, static_cast<size_t>(token.id) + 1);
    }
    return size;
  }

  std::vector<AddedToken> take() { return std::move(tokens_); }

 private:
  std::string where_;
  std::vector<AddedToken> tokens_;
  size_t bytes_ = 0;
};

// Reads the lists and returns the rest. Where merges come first, what they join is not known until
// the text is read again.
Result<json> read_lists(std::string_view text, const std::string& file, ModelLists& model,
                        AddedTokens& added) {
  const auto add_token = [&](const std::string* key, const json& element) {
    return model.add_token(key, element);
  };
  const auto add_merge = [&](const std::string* key, const json& element) {
    return model.add_merge(key, element);
  };
  bool again = false;
  const auto add_merge_if_known = [&](const std::string* key, const json& element) -> Result<void> {
    again = again || model.vocabulary.size() == 0;
    return again ? Result<void>() : model.add_merge(key, element);
  };
  const auto add_added = [&](const std::string*, const json& element) {
    return added.add(element);
  };
  const auto skip = [](const std::string*, const json&) -> Result<void> { return {}; };
  const JsonList first[] = {{"model", "vocab", add_token},
                            {"model", "merges", add_merge_if_known},
                            {"", "added_tokens", add_added}};
  HEARTH_TRY(json rest, stream_json(text, file, kTokenizerJsonLimits, first));
  if (!again) return rest;
  const JsonList second[] = {
      {"model", "vocab", skip}, {"model", "merges", add_merge}, {"", "added_tokens", skip}};
  return stream_json(text, file, kTokenizerJsonLimits, second);
}

}  // namespace

Error unsupported(const JsonObject& object, std::string_view what) {
  return Error(Code::kUnsupported, fmt::format("{}: {}", object.where(), what));
}

Result<void> for_each_component(const JsonObject& root, std::string_view key, std::string_view list,
                                const ReadComponent& read) {
  const json* value = root.find(key);
  if (value == nullptr) return {};
  return read_component(*value, fmt::format("{}: {}", root.where(), key), list, read);
}

Result<std::string> read_character(const JsonObject& object, std::string_view key) {
  HEARTH_TRY(std::string text, object.text(key));
  if (text.empty() || text.size() != character_bytes(text)) {
    return object.wrong(key, "one character");
  }
  return text;
}

Result<TokenizerParts> parse_tokenizer_json(std::string_view text, const std::string& file) {
  ModelLists model(file);
  AddedTokens added(file + ": added_tokens");
  HEARTH_TRY(const json document, read_lists(text, file, model, added));
  HEARTH_TRY(const JsonObject root, JsonObject::of(document, file));
  TokenizerParts parts;
  HEARTH_TRY(parts.normalizer, read_normalizer(root));
  HEARTH_TRY(PreTokenizerOfFile pre_tokenizer, read_pre_tokenizer(root));
  parts.pre_tokenizer = std::move(pre_tokenizer.pre_tokenizer);
  HEARTH_TRY(parts.decoder, read_decoder(root));
  HEARTH_RETURN_IF_ERROR(read_post_processor(root, parts));
  HEARTH_TRY(const ModelOptions options, read_model(root, pre_tokenizer.byte_level, model));
  HEARTH_RETURN_IF_ERROR(added.check_ids(model.vocabulary));
  const size_t size = added.size_with(model.vocabulary);
  HEARTH_RETURN_IF_ERROR(check_special_ids(parts, size, file));
  // Nothing is refused from here on: this may take more memory than a refusal may.
  parts.tokens = model.vocabulary.tokens();
  parts.encoder = build_model(options, std::move(model), parts.tokens);
  parts.added = added.take();
  parts.tokens.resize(size);
  for (const AddedToken& token : parts.added) {
    parts.tokens[static_cast<size_t>(token.id)] = token.content;
  }
  return parts;
}

}  // namespace hearth::engine
