#include "chat/jinja/interpreter.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "chat/jinja/access.h"
#include "chat/jinja/context.h"
#include "chat/jinja/evaluator.h"
#include "chat/jinja/from_json.h"
#include "chat/jinja/text.h"

namespace hearth::chat::jinja {
namespace {

enum class Flow { kNext, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter()
      : evaluator_(
            context_, depth_,
            [this](const Function& function, const Given& given) {
              return call_macro(function, given);
            },
            [this](const Loop& loop, const Value& items) { return call_loop(loop, items); }) {}

  Result<std::string> render(const Block& block, const nlohmann::ordered_json& variables) {
    HEARTH_TRY(Scope * globals, context_.scope(nullptr));
    for (const auto& [name, json] : variables.items()) {
      HEARTH_TRY(Value value, from_json(context_, json));
      globals->set(name, std::move(value));
    }
    for (const std::string_view name : {"tools", "documents"}) {
      if (globals->find(name) == nullptr) globals->set(name, None{});
    }
    HEARTH_TRY(Scope * scope, context_.scope(globals));
    std::string text;
    out_ = &text;
    HEARTH_RETURN_IF_ERROR(run(block, *scope));
    return text;
  }

 private:
  struct Visitor {
    Interpreter& self;
    Scope& scope;

    template <class Node>
    Result<Flow> operator()(const Node& node) {
      return self.run(node, scope);
    }
  };

  Result<Flow> run(const Block& block, Scope& scope) {
    const Recursion recursion(depth_);
    HEARTH_RETURN_IF_ERROR(recursion.check(context_));
    for (const Statement& statement : block) {
      HEARTH_RETURN_IF_ERROR(context_.spend_steps(1));
      context_.line = statement.line;
      HEARTH_TRY(const Flow flow, std::visit(Visitor{*this, scope}, statement.node));
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Result<Flow> write(std::string_view text) {
    if (out_->size() + text.size() > static_cast<size_t>(kOutputBytesMax)) {
      return context_.error(Code::kResourceExhausted, "the chat template gives more than " +
                                                          std::to_string(kOutputBytesMax) +
                                                          " bytes of text");
    }
    *out_ += text;
    return Flow::kNext;
  }

  Result<Flow> run(const Text& node, Scope&) { return write(node.text); }

  Result<Flow> run(const Output& node, Scope& scope) {
    HEARTH_TRY(const Value value, evaluator_.evaluate(*node.value, scope));
    if (const std::string* text = get_string(value)) return write(*text);
    HEARTH_TRY(const std::string text, to_text(context_, value));
    return write(text);
  }

  Result<Flow> run(const If& node, Scope& scope) {
    for (const auto& [condition, block] : node.branches) {
      HEARTH_TRY(const Value holds, evaluator_.evaluate(*condition, scope));
      if (is_true(holds)) return run(block, scope);
    }
    return run(node.otherwise, scope);
  }

  Result<Flow> run(const For& node, Scope& scope) {
    HEARTH_TRY(const Value iterable, evaluator_.evaluate(*node.items, scope));
    return run_loop(node, iterable, scope, /*depth=*/0);
  }

  // A break or continue never leaves its loop; kNext is what is left.
  Result<Flow> run_loop(const For& node, const Value& iterable, Scope& scope, int depth) {
    HEARTH_TRY(std::vector<Value> all, items(context_, iterable));
    if (node.condition != nullptr) {
      HEARTH_TRY(all, choose(node, std::move(all), scope));
    }
    HEARTH_TRY(Scope * outside, context_.scope(&scope));
    if (all.empty()) return run(node.otherwise, *outside);
    HEARTH_TRY(Loop * loop, context_.loop(std::move(all)));
    loop->depth = depth;
    if (node.recursive) {
      loop->node = &node;
      loop->scope = &scope;
    }
    for (; loop->index < loop->items.size(); ++loop->index) {
      HEARTH_TRY(Scope * inside, context_.scope(&scope));
      inside->set("loop", loop);
      HEARTH_RETURN_IF_ERROR(assign(node.target, loop->items[loop->index], *inside));
      HEARTH_TRY(const Flow flow, run(node.body, *inside));
      if (flow == Flow::kBreak) break;
    }
    return Flow::kNext;
  }

  // loop(items) inside a recursive loop: what it writes for them.
  Result<Value> call_loop(const Loop& loop, const Value& items) {
    const Recursion recursion(depth_);
    HEARTH_RETURN_IF_ERROR(recursion.check(context_));
    std::string text;
    std::string* outer = std::exchange(out_, &text);
    const Result<Flow> flow = run_loop(*loop.node, items, *loop.scope, loop.depth + 1);
    out_ = outer;
    if (!flow.ok()) return flow.error();
    return context_.string(std::move(text));
  }

  // The items for which the loop's condition holds.
  Result<std::vector<Value>> choose(const For& node, std::vector<Value> all, Scope& scope) {
    std::vector<Value> chosen;
    HEARTH_TRY(Scope * inside, context_.scope(&scope));
    for (Value& item : all) {
      HEARTH_RETURN_IF_ERROR(assign(node.target, item, *inside));
      HEARTH_TRY(const Value holds, evaluator_.evaluate(*node.condition, *inside));
      if (is_true(holds)) chosen.push_back(std::move(item));
    }
    return chosen;
  }

  Result<void> assign(const Target& target, const Value& value, Scope& scope) {
    if (!target.parts.empty()) {
      HEARTH_TRY(const std::vector<Value> parts, items(context_, value));
      if (is_undefined(value)) return context_.undefined(value);
      if (parts.size() != target.parts.size()) {
        return context_.error("expected " + std::to_string(target.parts.size()) +
                              " values to unpack, got " + std::to_string(parts.size()));
      }
      for (size_t i = 0; i < parts.size(); ++i) {
        HEARTH_RETURN_IF_ERROR(assign(target.parts[i], parts[i], scope));
      }
      return {};
    }
    if (target.attribute.empty()) {
      HEARTH_RETURN_IF_ERROR(context_.spend_bytes(sizeof(Value) * 2));
      scope.set(target.name, value);
      return {};
    }
    const Value* object = scope.find(target.name);
    const Namespace* names = object == nullptr ? nullptr : get<Namespace>(*object);
    if (names == nullptr) {
      return context_.error("cannot assign an attribute of '" + target.name +
                            "', which is no namespace");
    }
    HEARTH_TRY(const Value key, context_.string(target.attribute));
    return context_.set(*names->attributes, key, value);
  }

  Result<Flow> run(const Set& node, Scope& scope) {
    HEARTH_TRY(const Value value, evaluator_.evaluate(*node.value, scope));
    HEARTH_RETURN_IF_ERROR(assign(node.target, value, scope));
    return Flow::kNext;
  }

  // What `block` writes, instead of writing it.
  Result<std::pair<Value, Flow>> capture(const Block& block, Scope& scope) {
    std::string text;
    std::string* outer = std::exchange(out_, &text);
    const Result<Flow> flow = run(block, scope);
    out_ = outer;
    if (!flow.ok()) return flow.error();
    HEARTH_TRY(Value value, context_.string(std::move(text)));
    return std::pair(std::move(value), *flow);
  }

  Result<Flow> run(const SetBlock& node, Scope& scope) {
    HEARTH_TRY(Scope * inside, context_.scope(&scope));
    HEARTH_TRY(auto captured, capture(node.body, *inside));
    if (captured.second != Flow::kNext) return captured.second;
    if (node.filter != nullptr) {
      HEARTH_TRY(captured.first, evaluator_.filter(*node.filter, captured.first, scope));
    }
    HEARTH_RETURN_IF_ERROR(assign(node.target, captured.first, scope));
    return Flow::kNext;
  }

  Result<Flow> run(const FilterBlock& node, Scope& scope) {
    HEARTH_TRY(Scope * inside, context_.scope(&scope));
    HEARTH_TRY(auto captured, capture(node.body, *inside));
    if (captured.second != Flow::kNext) return captured.second;
    HEARTH_TRY(const Value filtered, evaluator_.filter(*node.filter, captured.first, scope));
    HEARTH_TRY(const std::string text, to_text(context_, filtered));
    return write(text);
  }

  Result<Flow> run(const Macro& node, Scope& scope) {
    HEARTH_TRY(const Value function, context_.function({.macro = &node.macro, .scope = &scope}));
    scope.set(node.macro.name, function);
    return Flow::kNext;
  }

  Result<Flow> run(const CallBlock& node, Scope& scope) {
    HEARTH_TRY(const Value caller, context_.function({.macro = &node.caller, .scope = &scope}));
    const Call& call = std::get<Call>(node.call->node);
    HEARTH_TRY(const Value callee, evaluator_.evaluate(*call.callee, scope));
    HEARTH_TRY(Given given, evaluator_.arguments(call.arguments, scope));
    given.named.emplace_back("caller", caller);
    HEARTH_TRY(const Value result, evaluator_.call(callee, given));
    HEARTH_TRY(const std::string text, to_text(context_, result));
    return write(text);
  }

  Result<Value> call_macro(const Function& function, const Given& given) {
    const MacroBody& macro = *function.macro;
    const Recursion recursion(depth_);
    HEARTH_RETURN_IF_ERROR(recursion.check(context_));
    HEARTH_TRY(Scope * scope, context_.scope(function.scope));
    HEARTH_RETURN_IF_ERROR(set_positional(macro, given, *scope));
    HEARTH_RETURN_IF_ERROR(set_named(macro, given, *scope));
    for (size_t i = given.positional.size(); i < macro.parameters.size(); ++i) {
      const auto& [name, fallback] = macro.parameters[i];
      const bool set =
          std::any_of(given.named.begin(), given.named.end(),
                      [&name = name](const auto& named) { return named.first == name; });
      if (set) continue;
      Value value = Undefined{
          std::make_shared<const std::string>("parameter '" + name + "' was not provided")};
      if (fallback != nullptr) {
        HEARTH_TRY(value, evaluator_.evaluate(*fallback, *scope));
      }
      scope->set(name, std::move(value));
    }
    HEARTH_TRY(auto captured, capture(macro.body, *scope));
    return std::move(captured.first);
  }

  Result<void> set_positional(const MacroBody& macro, const Given& given, Scope& scope) {
    const size_t known = std::min(given.positional.size(), macro.parameters.size());
    for (size_t i = 0; i < known; ++i) scope.set(macro.parameters[i].first, given.positional[i]);
    if (macro.takes_varargs) {
      const auto begin = given.positional.begin() + static_cast<std::ptrdiff_t>(known);
      HEARTH_TRY(const Value rest,
                 context_.list({begin, given.positional.end()}, ListKind::kTuple));
      scope.set("varargs", rest);
    } else if (given.positional.size() > known) {
      return context_.error("macro '" + macro.name + "' takes no more than " +
                            std::to_string(known) + " arguments");
    }
    return {};
  }

  Result<void> set_named(const MacroBody& macro, const Given& given, Scope& scope) {
    HEARTH_TRY(Dict * rest, context_.dict());
    if (macro.takes_caller) {
      scope.set("caller", Undefined{std::make_shared<const std::string>("no caller defined")});
    }
    for (const auto& [name, value] : given.named) {
      const auto found =
          std::find_if(macro.parameters.begin(), macro.parameters.end(),
                       [&name = name](const auto& known) { return known.first == name; });
      const auto position = static_cast<size_t>(found - macro.parameters.begin());
      if (position < given.positional.size() && found != macro.parameters.end()) {
        return context_.error("the argument '" + std::string(name) + "' is given twice");
      }
      if (found != macro.parameters.end() || (name == "caller" && macro.takes_caller)) {
        scope.set(name, value);
      } else if (macro.takes_kwargs) {
        HEARTH_TRY(const Value key, context_.string(std::string(name)));
        HEARTH_RETURN_IF_ERROR(context_.set(*rest, key, value));
      } else {
        return context_.error("macro '" + macro.name + "' takes no argument '" + std::string(name) +
                              "'");
      }
    }
    if (macro.takes_kwargs) scope.set("kwargs", rest);
    return {};
  }

  Result<Flow> run(const With& node, Scope& scope) {
    HEARTH_TRY(Scope * inside, context_.scope(&scope));
    for (const auto& [target, expr] : node.variables) {
      HEARTH_TRY(const Value value, evaluator_.evaluate(*expr, scope));
      HEARTH_RETURN_IF_ERROR(assign(target, value, *inside));
    }
    return run(node.body, *inside);
  }

  Result<Flow> run(const Scoped& node, Scope& scope) {
    HEARTH_TRY(Scope * inside, context_.scope(&scope));
    return run(node.body, *inside);
  }

  Result<Flow> run(const Break&, Scope&) { return Flow::kBreak; }
  Result<Flow> run(const Continue&, Scope&) { return Flow::kContinue; }

  Context context_;
  int depth_ = 0;
  std::string* out_ = nullptr;
  Evaluator evaluator_;
};

}  // namespace

Result<std::string> render(const Block& block, const nlohmann::ordered_json& variables) {
  return Interpreter().render(block, variables);
}

}  // namespace hearth::chat::jinja
