#include "chat/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "chat/jinja/expression_parser.h"
#include "chat/jinja/lexer.h"

namespace hearth::chat::jinja {
namespace {

using EndNames = std::initializer_list<std::string_view>;

constexpr int kBlockNestingMax = 64;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : stream_(std::move(tokens)), expressions_(stream_) {}

  Result<Block> run() { return block({}); }

 private:
  // Statements up to a tag that begins with one of `ends`, which is next in the stream (after
  // "{%"); without `ends`, up to the end of the template.
  Result<Block> block(EndNames ends) {
    if (++nesting_ > kBlockNestingMax) {
      return stream_.error(Code::kUnsupported, "blocks are nested deeper than " +
                                                   std::to_string(kBlockNestingMax) + " levels");
    }
    Block statements;
    while (true) {
      const int line = stream_.line();
      if (stream_.at(TokenKind::kEnd)) {
        if (ends.size() == 0) break;
        return stream_.expected("'" + std::string(*ends.begin()) + "'");
      }
      if (stream_.at(TokenKind::kText)) {
        statements.push_back({line, Text{stream_.take().text}});
        continue;
      }
      if (stream_.at(TokenKind::kVariableBegin)) {
        stream_.take();
        HEARTH_TRY(ExprPtr value, expressions_.tuple());
        HEARTH_RETURN_IF_ERROR(stream_.expect(TokenKind::kVariableEnd, "'}}'"));
        statements.push_back({line, Output{std::move(value)}});
        continue;
      }
      HEARTH_RETURN_IF_ERROR(stream_.expect(TokenKind::kBlockBegin, "a tag"));
      const bool ended = std::any_of(ends.begin(), ends.end(), [this](std::string_view name) {
        return stream_.at_name(name);
      });
      if (ended) break;
      HEARTH_TRY(Statement parsed, statement());
      parsed.line = line;
      statements.push_back(std::move(parsed));
    }
    --nesting_;
    return statements;
  }

  Result<void> block_end() { return stream_.expect(TokenKind::kBlockEnd, "'%}'"); }
  // "{%" is taken; `name %}` must follow.
  Result<void> end_tag(std::string_view name) {
    HEARTH_RETURN_IF_ERROR(stream_.expect_name(name));
    return block_end();
  }
  // `%}`, statements, `{% name %}`.
  Result<Block> body(std::string_view end) {
    HEARTH_RETURN_IF_ERROR(block_end());
    HEARTH_TRY(Block statements, block({end}));
    HEARTH_RETURN_IF_ERROR(end_tag(end));
    return statements;
  }

  Result<Statement> statement() {
    if (stream_.take_name("if")) return if_statement();
    if (stream_.take_name("for")) return for_statement();
    if (stream_.take_name("set")) return set_statement();
    if (stream_.take_name("macro")) return macro_statement();
    if (stream_.take_name("call")) return call_statement();
    if (stream_.take_name("filter")) return filter_statement();
    if (stream_.take_name("with")) return with_statement();
    if (stream_.take_name("generation")) {
      HEARTH_TRY(Block statements, body("endgeneration"));
      return Statement{0, Scoped{std::move(statements)}};
    }
    if (stream_.at_name("break") || stream_.at_name("continue")) return loop_control();
    if (!stream_.at(TokenKind::kName)) return stream_.expected("the name of a statement");
    const std::string name = stream_.peek().text;
    if (name.starts_with("end") || name == "else" || name == "elif") {
      return stream_.expected("no such tag here");
    }
    return stream_.error(Code::kUnsupported, "the statement '" + name + "' is not supported");
  }

  Result<Statement> if_statement() {
    If statement;
    while (true) {
      HEARTH_TRY(ExprPtr condition, expressions_.tuple());
      HEARTH_RETURN_IF_ERROR(block_end());
      HEARTH_TRY(Block then, block({"endif", "elif", "else"}));
      statement.branches.emplace_back(std::move(condition), std::move(then));
      if (stream_.take_name("elif")) continue;
      if (stream_.take_name("else")) {
        HEARTH_RETURN_IF_ERROR(block_end());
        HEARTH_TRY(statement.otherwise, block({"endif"}));
      }
      HEARTH_RETURN_IF_ERROR(end_tag("endif"));
      return Statement{0, std::move(statement)};
    }
  }

  Result<Statement> for_statement() {
    For statement;
    HEARTH_TRY(statement.target, target());
    HEARTH_RETURN_IF_ERROR(stream_.expect_name("in"));
    HEARTH_TRY(statement.items, expressions_.tuple(/*with_condition=*/false));
    if (stream_.take_name("if")) {
      HEARTH_TRY(statement.condition, expressions_.expression());
    }
    statement.recursive = stream_.take_name("recursive");
    HEARTH_RETURN_IF_ERROR(block_end());
    ++loops_;
    HEARTH_TRY(statement.body, block({"endfor", "else"}));
    --loops_;
    if (stream_.take_name("else")) {
      HEARTH_RETURN_IF_ERROR(block_end());
      HEARTH_TRY(statement.otherwise, block({"endfor"}));
    }
    HEARTH_RETURN_IF_ERROR(end_tag("endfor"));
    return Statement{0, std::move(statement)};
  }

  Result<Statement> loop_control() {
    if (loops_ == 0) return stream_.expected("a loop around it");
    const bool is_break = stream_.take().text == "break";
    HEARTH_RETURN_IF_ERROR(block_end());
    if (is_break) return Statement{0, Break{}};
    return Statement{0, Continue{}};
  }

  Result<Statement> set_statement() {
    HEARTH_TRY(Target assigned, target());
    if (stream_.take_operator("=")) {
      HEARTH_TRY(ExprPtr value, expressions_.tuple());
      HEARTH_RETURN_IF_ERROR(block_end());
      return Statement{0, Set{std::move(assigned), std::move(value)}};
    }
    ExprPtr filter;
    if (stream_.take_operator("|")) {
      HEARTH_TRY(filter, expressions_.filter_chain());
    }
    HEARTH_TRY(Block text, body("endset"));
    return Statement{0, SetBlock{std::move(assigned), std::move(filter), std::move(text)}};
  }

  Result<Statement> macro_statement() {
    MacroBody macro;
    HEARTH_TRY(macro.name, stream_.expect_any_name("the name of a macro"));
    HEARTH_TRY(macro.parameters, parameters());
    HEARTH_RETURN_IF_ERROR(macro_body("endmacro", macro));
    return Statement{0, Macro{std::move(macro)}};
  }

  Result<Statement> call_statement() {
    CallBlock statement;
    statement.caller.name = "caller";
    if (stream_.at_operator("(")) {
      HEARTH_TRY(statement.caller.parameters, parameters());
    }
    HEARTH_TRY(statement.call, expressions_.expression());
    if (!std::holds_alternative<Call>(statement.call->node)) return stream_.expected("a call");
    HEARTH_RETURN_IF_ERROR(macro_body("endcall", statement.caller));
    return Statement{0, std::move(statement)};
  }

  // The loops around a macro are not the macro's: no break out of it.
  Result<void> macro_body(std::string_view end, MacroBody& macro) {
    const int loops = std::exchange(loops_, 0);
    const auto outer = std::exchange(expressions_.special_names, {});
    HEARTH_TRY(macro.body, body(end));
    loops_ = loops;
    const auto named = std::exchange(expressions_.special_names, outer);
    macro.takes_varargs = named.varargs;
    macro.takes_kwargs = named.kwargs;
    macro.takes_caller = named.caller;
    return {};
  }

  Result<std::vector<std::pair<std::string, ExprPtr>>> parameters() {
    std::vector<std::pair<std::string, ExprPtr>> list;
    HEARTH_RETURN_IF_ERROR(stream_.expect_operator("("));
    while (!stream_.take_operator(")")) {
      if (!list.empty()) {
        HEARTH_RETURN_IF_ERROR(stream_.expect_operator(","));
        if (stream_.take_operator(")")) break;
      }
      HEARTH_TRY(std::string name, stream_.expect_any_name("the name of a parameter"));
      ExprPtr fallback;
      if (stream_.take_operator("=")) {
        HEARTH_TRY(fallback, expressions_.expression());
      } else if (!list.empty() && list.back().second != nullptr) {
        return stream_.expected("a default value, as for the parameter before");
      }
      list.emplace_back(std::move(name), std::move(fallback));
    }
    return list;
  }

  Result<Statement> filter_statement() {
    HEARTH_TRY(ExprPtr filter, expressions_.filter_chain());
    HEARTH_TRY(Block text, body("endfilter"));
    return Statement{0, FilterBlock{std::move(filter), std::move(text)}};
  }

  Result<Statement> with_statement() {
    With statement;
    while (!stream_.at(TokenKind::kBlockEnd)) {
      if (!statement.variables.empty()) HEARTH_RETURN_IF_ERROR(stream_.expect_operator(","));
      HEARTH_TRY(Target variable, single_target());
      HEARTH_RETURN_IF_ERROR(stream_.expect_operator("="));
      HEARTH_TRY(ExprPtr value, expressions_.expression());
      statement.variables.emplace_back(std::move(variable), std::move(value));
    }
    HEARTH_TRY(statement.body, body("endwith"));
    return Statement{0, std::move(statement)};
  }

  Result<Target> target() {
    HEARTH_TRY(Target first, single_target());
    if (!stream_.at_operator(",")) return first;
    Target several;
    several.parts.push_back(std::move(first));
    while (stream_.take_operator(",")) {
      if (stream_.at_name("in") || stream_.at_operator("=") || stream_.at_operator(")")) break;
      HEARTH_TRY(Target next, single_target());
      several.parts.push_back(std::move(next));
    }
    return several;
  }

  Result<Target> single_target() {
    if (stream_.take_operator("(")) {
      if (++nesting_ > kBlockNestingMax) {
        return stream_.error(Code::kUnsupported, "targets are nested deeper than " +
                                                     std::to_string(kBlockNestingMax) + " levels");
      }
      HEARTH_TRY(Target inner, target());
      --nesting_;
      HEARTH_RETURN_IF_ERROR(stream_.expect_operator(")"));
      return inner;
    }
    Target single;
    HEARTH_TRY(single.name, stream_.expect_any_name("the name of a variable"));
    if (stream_.take_operator(".")) {
      HEARTH_TRY(single.attribute, stream_.expect_any_name("the name of an attribute"));
    }
    return single;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int loops_ = 0;
};

}  // namespace

Result<Block> parse(std::string_view source) {
  HEARTH_TRY(std::vector<Token> tokens, tokenize(source));
  return Parser(std::move(tokens)).run();
}

}  // namespace hearth::chat::jinja
