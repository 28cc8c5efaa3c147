// Expressions to values.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// Counts one level of recursion of a rendering while it exists.
class Recursion {
 public:
  explicit Recursion(int& depth) : depth_(depth) { ++depth_; }
  ~Recursion() { --depth_; }
  Result<void> check(const Context& context) const {
    if (depth_ <= kRecursionMax) return {};
    return context.error(Code::kResourceExhausted, "the chat template recurses too deeply");
  }

 private:
  int& depth_;
};

class Evaluator {
 public:
  // Runs a macro with its arguments; the interpreter's part.
  using CallMacro = std::function<Result<Value>(const Function&, const Given&)>;

  // `context` and `depth` must outlive this.
  Evaluator(Context& context, int& depth, CallMacro call_macro)
      : context_(context), depth_(depth), call_macro_(std::move(call_macro)) {}

  Result<Value> evaluate(const Expr& expr, const Scope& scope);
  // `filter`, whose innermost input is null, applied to `input`.
  Result<Value> filter(const Expr& filter, const Value& input, const Scope& scope);
  Result<Given> arguments(const Arguments& arguments, const Scope& scope);
  Result<Value> call(const Value& callee, const Given& given);

 private:
  struct Visitor;

  Context& context_;
  int& depth_;
  CallMacro call_macro_;
  const Value* filtered_ = nullptr;  // what a null input stands for
};

}  // namespace hearth::chat::jinja
