// The body of POST /v1/chat/completions:
// https://platform.openai.com/docs/api-reference/chat/create.
#pragma once

#include <string>

#include "runtime/generator.h"
#include "serve/api/json.h"

namespace hearth::serve {

struct ChatRequest {
  std::string model;
  runtime::GenerateRequest generate;  // `id` is not set
  bool stream = false;
  bool include_usage = false;
};

// Checks every field that Hearth knows. Fields that would change the answer and are not supported
// are refused; fields that nobody knows are ignored. A request without a seed gets a random one.
Parsed<ChatRequest> parse_chat_request(std::string_view body);

}  // namespace hearth::serve
