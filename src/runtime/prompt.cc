#include "runtime/prompt.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace hearth::runtime {
namespace {

using json = nlohmann::ordered_json;  // templates see keys in the order in which they came

Error bad_message(size_t index, const std::string& what) {
  return Error(Code::kInvalidArgument, "messages[" + std::to_string(index) + "]" + what);
}

// Templates expect text: a list of text parts becomes their texts in a row.
Result<std::string> text_of(const json& content, size_t index) {
  if (content.is_null()) return std::string();
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array())
    return bad_message(index, ".content is neither text nor a list of parts");
  std::string text;
  for (const json& part : content) {
    const bool is_text = part.is_object() && part.value("type", json()) == "text" &&
                         part.contains("text") && part["text"].is_string();
    if (!is_text) return bad_message(index, ".content has a part that is not text");
    text += part["text"].get<std::string>();
  }
  return text;
}

Result<json> parse_messages(const std::string& messages_json) {
  json messages = json::parse(messages_json, nullptr, /*allow_exceptions=*/false);
  if (!messages.is_array() || messages.empty()) {
    return Error(Code::kInvalidArgument, "messages must be a list with at least one message");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    json& message = messages[i];
    if (!message.is_object()) return bad_message(i, " is not an object");
    if (!message.contains("role") || !message["role"].is_string()) {
      return bad_message(i, ".role is not text");
    }
    HEARTH_TRY(std::string text, text_of(message.value("content", json()), i));
    message["content"] = std::move(text);
  }
  return messages;
}

Result<std::unique_ptr<chat::ChatTemplate>> compile(const std::string& source) {
  auto compiled = chat::ChatTemplate::compile(source.empty() ? chat::default_template() : source);
  if (!compiled.ok()) return compiled.error().context("the model's chat template");
  return compiled;
}

}  // namespace

PromptEncoder::PromptEncoder(const engine::ModelFiles& files, const engine::Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      vocab_(files.spec().vocab),
      bos_token_(files.bos_token()),
      eos_token_(files.eos_token()),
      template_(compile(files.chat_template())) {}

Result<std::string> PromptEncoder::render(const std::string& messages_json) const {
  if (!template_.ok()) return template_.error();
  HEARTH_TRY(json messages, parse_messages(messages_json));
  return template_.value()->render({{"messages", std::move(messages)},
                                    {"add_generation_prompt", true},
                                    {"bos_token", bos_token_},
                                    {"eos_token", eos_token_}});
}

Result<std::vector<int32_t>> PromptEncoder::encode(const GenerateRequest& request) const {
  std::vector<int32_t> ids;
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    HEARTH_TRY(const std::string text, render(chat->messages_json));
    ids = tokenizer_.encode(text, /*add_special=*/false);  // the template writes its own BOS
  } else if (const auto* text = std::get_if<TextPrompt>(&request.prompt)) {
    ids = tokenizer_.encode(text->text, /*add_special=*/true);
  } else {
    ids = std::get<TokenPrompt>(request.prompt).ids;
  }
  if (ids.empty()) return Error(Code::kInvalidArgument, "the prompt is empty");
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab_) continue;
    return Error(
        Code::kInvalidArgument,
        "token " + std::to_string(id) + " is not one of the model's " + std::to_string(vocab_));
  }
  return ids;
}

}  // namespace hearth::runtime
