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
    return context.error(Code::kResourceExhausted, "the chat template recurses deeper than " +
                                                       std::to_string(kRecursionMax) + " levels");
  }

 private:
  int& depth_;
};

class Evaluator {
 public:
  // The interpreter's parts: run a macro with its arguments; run a recursive loop over `items`.
  using CallMacro = std::function<Result<Value>(const Function&, const Given&)>;
  using CallLoop = std::function<Result<Value>(const Loop&, const Value& items)>;

  // `context` and `depth` must outlive this.
  Evaluator(Context& context, int& depth, CallMacro call_macro, CallLoop call_loop)
      : context_(context),
        depth_(depth),
        call_macro_(std::move(call_macro)),
        call_loop_(std::move(call_loop)) {}

  Result<Value> evaluate(const Expr& expr, const Scope& scope);
  // `filter`, whose innermost input is null, applied to `input`.
  Result<Value> filter(const Expr& filter, const Value& input, const Scope& scope);
  Result<Given> arguments(const Arguments& arguments, const Scope& scope);
  Result<Value> call(const Value& callee, const Given& given);

 private:
  struct Visitor;
  Result<Value> call_method(Native native, const Value& self, const Given& given);
  Result<void> unpack(const Arguments& arguments, const Scope& scope, Given& given);

  Context& context_;
  int& depth_;
  CallMacro call_macro_;
  CallLoop call_loop_;
  const Value* filtered_ = nullptr;  // what a null input stands for
};

}  // namespace hearth::chat::jinja
