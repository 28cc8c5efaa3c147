#include "chat/jinja/evaluator.h"

#include <utility>

#include "chat/jinja/access.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/compare.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"

namespace hearth::chat::jinja {

struct Evaluator::Visitor {
  Evaluator& self;
  Context& context;
  const Scope& scope;

  Result<Value> evaluate(const ExprPtr& expr) { return self.evaluate(*expr, scope); }
  // None for an absent part of a slice.
  Result<Value> optional(const ExprPtr& expr) {
    if (expr == nullptr) return Value(None{});
    return evaluate(expr);
  }

  Result<Value> operator()(const NoneLiteral&) { return Value(None{}); }
  Result<Value> operator()(const BoolLiteral& node) { return Value(node.value); }
  Result<Value> operator()(const IntLiteral& node) { return Value(node.value); }
  Result<Value> operator()(const FloatLiteral& node) { return Value(node.value); }
  Result<Value> operator()(const StringLiteral& node) { return Value(node.value); }

  Result<Value> operator()(const Name& node) {
    if (const Value* value = scope.find(node.name)) return *value;
    if (const Native native = find_function(node.name)) return context.function({.native = native});
    HEARTH_TRY(Value why, context.string("'" + node.name + "' is undefined"));
    return Value(Undefined{std::get<String>(why)});
  }

  Result<Value> operator()(const ListExpr& node) {
    std::vector<Value> items;
    for (const ExprPtr& expr : node.items) {
      HEARTH_TRY(Value item, evaluate(expr));
      items.push_back(std::move(item));
    }
    return context.list(std::move(items), node.tuple ? ListKind::kTuple : ListKind::kList);
  }

  Result<Value> operator()(const DictExpr& node) {
    HEARTH_TRY(Dict * dict, context.dict());
    for (const auto& [key_expr, value_expr] : node.items) {
      HEARTH_TRY(const Value key, evaluate(key_expr));
      HEARTH_TRY(Value value, evaluate(value_expr));
      HEARTH_RETURN_IF_ERROR(context.set(*dict, key, std::move(value)));
    }
    return Value(dict);
  }

  Result<Value> operator()(const Attribute& node) {
    HEARTH_TRY(const Value object, evaluate(node.object));
    return attribute(context, object, node.name);
  }

  Result<Value> operator()(const Subscript& node) {
    HEARTH_TRY(const Value object, evaluate(node.object));
    HEARTH_TRY(const Value key, evaluate(node.key));
    return subscript(context, object, key);
  }

  Result<Value> operator()(const Slice& node) {
    HEARTH_TRY(const Value object, evaluate(node.object));
    HEARTH_TRY(const Value start, optional(node.start));
    HEARTH_TRY(const Value stop, optional(node.stop));
    HEARTH_TRY(const Value step, optional(node.step));
    return slice(context, object, start, stop, step);
  }

  Result<Value> operator()(const Call& node) {
    // Most calls are of methods, which need no function value of their own.
    if (const Attribute* method = std::get_if<Attribute>(&node.callee->node)) {
      HEARTH_TRY(const Value object, evaluate(method->object));
      if (const Native native = find_method(object, method->name)) {
        HEARTH_TRY(const Given given, self.arguments(node.arguments, scope));
        return self.call_method(native, object, given);
      }
      HEARTH_TRY(const Value callee, attribute(context, object, method->name));
      HEARTH_TRY(const Given given, self.arguments(node.arguments, scope));
      return self.call(callee, given);
    }
    HEARTH_TRY(const Value callee, evaluate(node.callee));
    HEARTH_TRY(const Given given, self.arguments(node.arguments, scope));
    return self.call(callee, given);
  }

  Result<Value> operator()(const Filter& node) {
    Value input;
    if (node.input == nullptr) {
      input = *self.filtered_;
    } else {
      HEARTH_TRY(input, evaluate(node.input));
    }
    HEARTH_TRY(const Given given, self.arguments(node.arguments, scope));
    const Native filter = find_filter(node.name);
    if (filter != nullptr) return call_native(context, filter, input, given);
    return context.error(Code::kUnsupported, "the filter '" + node.name + "' is not supported");
  }

  Result<Value> operator()(const Test& node) {
    HEARTH_TRY(const Value input, evaluate(node.input));
    HEARTH_TRY(const Given given, self.arguments(node.arguments, scope));
    const Native test = find_test(node.name);
    if (test != nullptr) return call_native(context, test, input, given);
    return context.error(Code::kUnsupported, "the test '" + node.name + "' is not supported");
  }

  Result<Value> operator()(const Unary& node) {
    HEARTH_TRY(const Value operand, evaluate(node.operand));
    if (node.op == UnaryOp::kNot) return Value(!is_true(operand));
    if (node.op == UnaryOp::kNegate) return negate(context, operand);
    if (is_undefined(operand)) return context.undefined(operand);
    if (!as_number(operand).has_value()) return context.error("bad operand type for unary +");
    const std::optional<int64_t> integer = as_integer(operand);
    return integer.has_value() ? Value(*integer) : operand;
  }

  Result<Value> operator()(const Binary& node) {
    HEARTH_TRY(const Value left, evaluate(node.left));
    HEARTH_TRY(const Value right, evaluate(node.right));
    return apply(context, node.op, left, right);
  }

  Result<Value> operator()(const Logical& node) {
    HEARTH_TRY(Value left, evaluate(node.left));
    if (is_true(left) != node.is_and) return left;
    return evaluate(node.right);
  }

  Result<Value> operator()(const Concat& node) {
    std::string text;
    for (const ExprPtr& expr : node.parts) {
      HEARTH_TRY(const Value part, evaluate(expr));
      HEARTH_TRY(const std::string piece, to_text(context, part));
      HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(piece.size())));
      text += piece;
    }
    return context.string(std::move(text));
  }

  Result<Value> operator()(const Compare& node) {
    HEARTH_TRY(Value left, evaluate(node.first));
    for (const auto& [op, expr] : node.rest) {
      HEARTH_TRY(Value right, evaluate(expr));
      HEARTH_TRY(const bool holds, compare(op, left, right));
      if (!holds) return Value(false);
      left = std::move(right);
    }
    return Value(true);
  }

  Result<bool> compare(CompareOp op, const Value& left, const Value& right) {
    // An order that does not exist is an error in both directions; NaN has none with anything and
    // is no error.
    switch (op) {
      case CompareOp::kEqual:
        return equal(context, left, right);
      case CompareOp::kNotEqual: {
        HEARTH_TRY(const bool same, equal(context, left, right));
        return !same;
      }
      case CompareOp::kLess:
        return less(context, left, right);
      case CompareOp::kGreater:
        return less(context, right, left);
      case CompareOp::kLessEqual:
      case CompareOp::kGreaterEqual: {
        const bool greater = op == CompareOp::kGreaterEqual;
        HEARTH_TRY(const bool before,
                   less(context, greater ? right : left, greater ? left : right));
        if (before) return true;
        return equal(context, left, right);
      }
      case CompareOp::kIn:
        return contains(context, right, left);
      case CompareOp::kNotIn: {
        HEARTH_TRY(const bool member, contains(context, right, left));
        return !member;
      }
    }
    return false;
  }

  Result<Value> operator()(const Conditional& node) {
    HEARTH_TRY(const Value condition, evaluate(node.condition));
    if (is_true(condition)) return evaluate(node.then);
    if (node.otherwise == nullptr) return Value(Undefined{});
    return evaluate(node.otherwise);
  }
};

Result<Value> Evaluator::evaluate(const Expr& expr, const Scope& scope) {
  const Recursion recursion(depth_);
  HEARTH_RETURN_IF_ERROR(recursion.check(context_));
  HEARTH_RETURN_IF_ERROR(context_.spend_steps(1));
  context_.line = expr.line;
  return std::visit(Visitor{*this, context_, scope}, expr.node);
}

Result<Value> Evaluator::filter(const Expr& filter, const Value& input, const Scope& scope) {
  const Value* outer = std::exchange(filtered_, &input);
  Result<Value> result = evaluate(filter, scope);
  filtered_ = outer;
  return result;
}

Result<Given> Evaluator::arguments(const Arguments& arguments, const Scope& scope) {
  Given given;
  for (const ExprPtr& expr : arguments.positional) {
    HEARTH_TRY(Value value, evaluate(*expr, scope));
    given.positional.push_back(std::move(value));
  }
  for (const auto& [name, expr] : arguments.named) {
    HEARTH_TRY(Value value, evaluate(*expr, scope));
    given.named.emplace_back(name, std::move(value));
  }
  HEARTH_RETURN_IF_ERROR(unpack(arguments, scope, given));
  return given;
}

Result<void> Evaluator::unpack(const Arguments& arguments, const Scope& scope, Given& given) {
  if (arguments.unpacked != nullptr) {
    HEARTH_TRY(const Value list, evaluate(*arguments.unpacked, scope));
    HEARTH_TRY(std::vector<Value> more, items(context_, list));
    for (Value& value : more) given.positional.push_back(std::move(value));
  }
  if (arguments.unpacked_named == nullptr) return {};
  HEARTH_TRY(const Value named, evaluate(*arguments.unpacked_named, scope));
  const Dict* dict = get_dict(named);
  if (dict == nullptr) return context_.error("the argument after ** must be a mapping");
  HEARTH_RETURN_IF_ERROR(context_.spend_steps(static_cast<int64_t>(dict->items().size())));
  for (const auto& [key, value] : dict->items()) {
    const std::string* name = get_string(key);
    if (name == nullptr) return context_.error("keywords must be strings");
    given.named.emplace_back(*name, value);  // the dict outlives the rendering's calls
  }
  return {};
}

Result<Value> Evaluator::call_method(Native native, const Value& self, const Given& given) {
  HEARTH_TRY(Value result, call_native(context_, native, self, given));
  if (!is_markup(self)) return result;
  // What methods of markup make of it is markup, too.
  if (const String* text = std::get_if<String>(&result)) return Value(Markup{*text});
  if (const List* list = get_list(result)) {
    std::vector<Value> parts = list->items;
    for (Value& part : parts) {
      if (const String* text = std::get_if<String>(&part)) part = Markup{String(*text)};
    }
    return context_.list(std::move(parts), list->kind);
  }
  return result;
}

Result<Value> Evaluator::call(const Value& callee, const Given& given) {
  if (is_undefined(callee)) return context_.undefined(callee);
  Loop* const* loop = get<Loop*>(callee);
  if (loop != nullptr && (*loop)->node != nullptr) {
    if (given.positional.size() == 1 && given.named.empty()) {
      return call_loop_(**loop, given.positional[0]);
    }
    return context_.error("a recursive loop is called with what it shall walk");
  }
  Function* const* function = get<Function*>(callee);
  if (function == nullptr) {
    return context_.error("'" + std::string(type_name(callee)) + "' object is not callable");
  }
  if ((*function)->native != nullptr) {
    return call_method((*function)->native, (*function)->self, given);
  }
  return call_macro_(**function, given);
}

}  // namespace hearth::chat::jinja
