// Reading tokens in order, with errors that name the line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "chat/jinja/token.h"

namespace hearth::chat::jinja {

class TokenStream {
 public:
  // REQUIRES: the last token is kEnd.
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(position_ + ahead, tokens_.size() - 1)];
  }
  Token take() {
    Token token = peek();
    if (position_ + 1 < tokens_.size()) ++position_;
    return token;
  }
  int line() const { return peek().line; }

  bool at(TokenKind kind) const { return peek().kind == kind; }
  bool at_operator(std::string_view text) const {
    return at(TokenKind::kOperator) && peek().text == text;
  }
  bool at_name(std::string_view text) const { return at(TokenKind::kName) && peek().text == text; }

  bool take_operator(std::string_view text) {
    if (!at_operator(text)) return false;
    take();
    return true;
  }
  bool take_name(std::string_view text) {
    if (!at_name(text)) return false;
    take();
    return true;
  }

  Result<void> expect_operator(std::string_view text) {
    if (take_operator(text)) return {};
    return expected("'" + std::string(text) + "'");
  }
  Result<void> expect_name(std::string_view text) {
    if (take_name(text)) return {};
    return expected("'" + std::string(text) + "'");
  }
  Result<std::string> expect_any_name(std::string_view what) {
    if (at(TokenKind::kName)) return take().text;
    return expected(what);
  }
  Result<void> expect(TokenKind kind, std::string_view what) {
    if (!at(kind)) return expected(what);
    take();
    return {};
  }

  Error expected(std::string_view what) const {
    return error(Code::kInvalidArgument,
                 "expected " + std::string(what) + ", not " + describe(peek()));
  }
  Error error(Code code, std::string_view message) const {
    return Error(code, "line " + std::to_string(line()) + ": " + std::string(message));
  }

 private:
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case TokenKind::kText:
        return "text";
      case TokenKind::kBlockBegin:
        return "'{%'";
      case TokenKind::kBlockEnd:
        return "'%}'";
      case TokenKind::kVariableBegin:
        return "'{{'";
      case TokenKind::kVariableEnd:
        return "'}}'";
      case TokenKind::kName:
      case TokenKind::kOperator:
        return "'" + token.text + "'";
      case TokenKind::kString:
        return "a string";
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return "a number";
      case TokenKind::kEnd:
        return "the end of the template";
    }
    return "";
  }

  std::vector<Token> tokens_;
  size_t position_ = 0;
};

}  // namespace hearth::chat::jinja
