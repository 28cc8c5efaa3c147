// Chat templates: the Jinja subset that models' templates are written in, rendered with limits.
// Source: https://jinja.palletsprojects.com/en/stable/templates/; settings and extra functions
// (trim_blocks, lstrip_blocks, loop controls, tojson, raise_exception, strftime_now, generation)
// are those of Hugging Face transformers:
// https://huggingface.co/docs/transformers/chat_templating_writing.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::chat {

// A compiled template. Immutable and thread-safe.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;

  // kInvalidArgument names line and what was expected; kUnsupported names the construct, or the
  // size of a source of more than 256 KiB.
  static Result<std::unique_ptr<ChatTemplate>> compile(std::string_view source);

  // Renders with `variables`, an object: messages, add_generation_prompt, bos_token, eos_token, ...
  // Its order of keys is the order in which templates see them. The text is valid UTF-8 if
  // `variables` are. kInvalidArgument carries the text of raise_exception(), or names the line and
  // what is wrong with the variables; kUnsupported names an operation the subset does not have;
  // kResourceExhausted past 8 MiB of output, 128 MiB of intermediate values, 10 million evaluation
  // steps or too deep a recursion.
  virtual Result<std::string> render(const nlohmann::ordered_json& variables) const = 0;
};

// The template for models that carry none: ChatML.
std::string_view default_template();

}  // namespace hearth::chat
