// The grammar of expressions: Jinja's, which is close to Python's.
#pragma once

#include "base/result.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/token_stream.h"

namespace hearth::chat::jinja {

class ExpressionParser {
 public:
  // `stream` must outlive this.
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  // One expression, with an inline `if` unless `with_condition` is false (the iterable of a for
  // loop).
  Result<ExprPtr> expression(bool with_condition = true);
  // The same, or several separated by commas: a tuple.
  Result<ExprPtr> tuple(bool with_condition = true);
  // The variables named in what was parsed so far that make a macro take more arguments.
  struct SpecialNames {
    bool varargs = false;
    bool kwargs = false;
    bool caller = false;
  };
  SpecialNames special_names;

  // `name(arguments) | ...` applied to a null input: what {% filter %} takes.
  Result<ExprPtr> filter_chain();

 private:
  Result<ExprPtr> logical_or();
  Result<ExprPtr> logical_and();
  Result<ExprPtr> logical_not();
  Result<ExprPtr> compare();
  Result<ExprPtr> sum();
  Result<ExprPtr> concat();
  Result<ExprPtr> product();
  Result<ExprPtr> power();
  Result<ExprPtr> unary(bool with_filters);
  Result<ExprPtr> primary();
  Result<ExprPtr> parenthesis();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> postfix(ExprPtr expr);
  Result<ExprPtr> subscript(ExprPtr object);
  Result<ExprPtr> filters_and_tests(ExprPtr expr);
  Result<ExprPtr> filter(ExprPtr input);
  Result<ExprPtr> test(ExprPtr input);
  Result<ExprPtr> call(ExprPtr callee);
  Result<Arguments> arguments();

  TokenStream& stream_;
  int nesting_ = 0;
};

}  // namespace hearth::chat::jinja
