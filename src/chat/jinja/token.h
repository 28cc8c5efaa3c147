// The words of a template.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::chat::jinja {

enum class TokenKind {
  kText,           // between tags, already trimmed; `text`
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,           // `text`
  kString,         // `text`, escapes resolved
  kInteger,        // `integer`
  kFloat,          // `number`
  kOperator,       // `text`: one of + - * / // % ** ~ == != < > <= >= = ( ) [ ] { } . : , | ;
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;
  int64_t integer = 0;
  double number = 0;
};

}  // namespace hearth::chat::jinja
