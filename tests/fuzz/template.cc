// A chat template: compiled, and rendered for a conversation with tools.

#include "chat/template.h"

#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz.h"

using namespace hearth;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto variables = nlohmann::ordered_json::parse(R"json({
    "messages": [
      {"role": "system", "content": "Be kind."},
      {"role": "user", "content": [{"type": "text", "text": "Gr\u00fc\u00dfe <b> 'x'"}]},
      {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
        {"id": "abc", "function": {"name": "f", "arguments": {"a": 1, "b": [true, 2.5, null]}}}]},
      {"role": "tool", "content": "4\n2"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters":
      {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true,
    "n": 7, "x": -2.5, "s": "a b,c\r\nd", "list": [3, 1, 2], "d": {"b": 1, "a": {"c": [1]}}})json");
  const auto compiled = chat::ChatTemplate::compile(fuzz::text_of(data, size));
  if (!compiled.ok()) return 0;
  const auto text = (*compiled)->render(variables);
  // What is rendered goes to clients as JSON.
  if (text.ok()) static_cast<void>(nlohmann::json(*text).dump());
  return 0;
}
