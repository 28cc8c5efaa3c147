#include "engine/tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/json_parts.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr size_t kAddedTokenBytesMax = 4096;

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
  HEARTH_TRY(const json document, parse_json(text, file, kTokenizerJsonLimits));
  HEARTH_TRY(const JsonObject root, JsonObject::of(document, file));
  TokenizerParts parts;
  HEARTH_TRY(parts.normalizer, read_normalizer(root));
  HEARTH_TRY(PreTokenizerOfFile pre_tokenizer, read_pre_tokenizer(root));
  parts.pre_tokenizer = std::move(pre_tokenizer.pre_tokenizer);
  HEARTH_TRY(parts.decoder, read_decoder(root));
  HEARTH_RETURN_IF_ERROR(read_post_processor(root, parts));
  Vocabulary vocabulary(file);
  HEARTH_TRY(parts.encoder, read_model(root, pre_tokenizer.byte_level, vocabulary));
  HEARTH_TRY(parts.added, read_added_tokens(root, vocabulary));
  parts.tokens = std::move(vocabulary).take_tokens();
  return parts;
}

}  // namespace hearth::engine
