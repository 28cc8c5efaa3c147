// Chat templates: the Jinja subset that models' templates are written in, rendered with limits.
// Source: https://jinja.palletsprojects.com/en/stable/templates/.
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

  // kInvalidArgument names line and what was expected; kUnsupported names the construct.
  static Result<std::unique_ptr<ChatTemplate>> compile(std::string_view source);

  // Renders with `variables` (an object: messages, add_generation_prompt, bos_token, eos_token,
  // ...). kInvalidArgument carries the text of raise_exception(); kResourceExhausted past 8 MiB of
  // output or 10 million evaluation steps.
  virtual Result<std::string> render(const nlohmann::json& variables) const = 0;
};

// The template for models that carry none: ChatML.
std::string_view default_template();

}  // namespace hearth::chat
