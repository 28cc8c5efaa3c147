#include "chat/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <optional>

namespace hearth::chat::jinja {
namespace {

int depth_of(const ExprPtr& expr) { return expr == nullptr ? 0 : expr->depth; }

template <class Node>
Result<ExprPtr> make(int line, int depth_below, Node node) {
  if (depth_below >= kTreeDepthMax) {
    return Error(Code::kUnsupported, "line " + std::to_string(line) +
                                         ": the expression is nested deeper than " +
                                         std::to_string(kTreeDepthMax) + " levels");
  }
  auto expr = std::make_unique<Expr>();
  expr->line = line;
  expr->depth = depth_below + 1;
  expr->node = std::move(node);
  return expr;
}

int depth_of(const Arguments& arguments) {
  int depth = 0;
  for (const ExprPtr& argument : arguments.positional) depth = std::max(depth, argument->depth);
  for (const auto& [name, argument] : arguments.named) depth = std::max(depth, argument->depth);
  return std::max({depth, depth_of(arguments.unpacked), depth_of(arguments.unpacked_named)});
}

int depth_of(const std::vector<ExprPtr>& items) {
  int depth = 0;
  for (const ExprPtr& item : items) depth = std::max(depth, item->depth);
  return depth;
}

template <class Op>
using OperatorTable = std::vector<std::pair<std::string_view, Op>>;

template <class Op>
std::optional<Op> take_one_of(TokenStream& stream, const OperatorTable<Op>& table) {
  for (const auto& [text, op] : table) {
    if (stream.take_operator(text)) return op;
  }
  return std::nullopt;
}

// Counts nested calls of the parser, which follow nested brackets and prefix operators.
class Nesting {
 public:
  explicit Nesting(int& depth) : depth_(depth) { ++depth_; }
  ~Nesting() { --depth_; }
  bool too_deep() const { return depth_ > kTreeDepthMax; }

 private:
  int& depth_;
};

}  // namespace

Result<ExprPtr> ExpressionParser::expression(bool with_condition) {
  if (!with_condition) return logical_or();
  const Nesting nesting(nesting_);
  if (nesting.too_deep()) {
    return stream_.error(Code::kUnsupported, "the expression is nested deeper than " +
                                                 std::to_string(kTreeDepthMax) + " levels");
  }
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr expr, logical_or());
  while (stream_.take_name("if")) {
    HEARTH_TRY(ExprPtr condition, logical_or());
    ExprPtr otherwise;
    if (stream_.take_name("else")) {
      HEARTH_TRY(otherwise, expression());
    }
    const int depth = std::max({expr->depth, condition->depth, depth_of(otherwise)});
    HEARTH_TRY(expr,
               make(line, depth,
                    Conditional{std::move(condition), std::move(expr), std::move(otherwise)}));
  }
  return expr;
}

Result<ExprPtr> ExpressionParser::tuple(bool with_condition) {
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr first, expression(with_condition));
  if (!stream_.at_operator(",")) return first;
  ListExpr list{.tuple = true};
  list.items.push_back(std::move(first));
  while (stream_.take_operator(",")) {
    if (stream_.at(TokenKind::kBlockEnd) || stream_.at(TokenKind::kVariableEnd) ||
        stream_.at_operator(")") || stream_.at_name("in")) {
      break;
    }
    HEARTH_TRY(ExprPtr item, expression(with_condition));
    list.items.push_back(std::move(item));
  }
  const int depth = depth_of(list.items);
  return make(line, depth, std::move(list));
}

Result<ExprPtr> ExpressionParser::logical_or() {
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr left, logical_and());
  while (stream_.take_name("or")) {
    HEARTH_TRY(ExprPtr right, logical_and());
    const int depth = std::max(left->depth, right->depth);
    HEARTH_TRY(left, make(line, depth, Logical{false, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::logical_and() {
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr left, logical_not());
  while (stream_.take_name("and")) {
    HEARTH_TRY(ExprPtr right, logical_not());
    const int depth = std::max(left->depth, right->depth);
    HEARTH_TRY(left, make(line, depth, Logical{true, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::logical_not() {
  const int line = stream_.line();
  int negations = 0;
  while (stream_.take_name("not")) {
    if (++negations > kTreeDepthMax) break;
  }
  HEARTH_TRY(ExprPtr expr, compare());
  for (; negations > 0; --negations) {
    const int depth = expr->depth;
    HEARTH_TRY(expr, make(line, depth, Unary{UnaryOp::kNot, std::move(expr)}));
  }
  return expr;
}

Result<ExprPtr> ExpressionParser::compare() {
  static const OperatorTable<CompareOp> kOperators = {
      {"==", CompareOp::kEqual},     {"!=", CompareOp::kNotEqual}, {"<", CompareOp::kLess},
      {"<=", CompareOp::kLessEqual}, {">", CompareOp::kGreater},   {">=", CompareOp::kGreaterEqual},
  };
  const int line = stream_.line();
  Compare comparison;
  HEARTH_TRY(comparison.first, sum());
  int depth = comparison.first->depth;
  while (true) {
    std::optional<CompareOp> op = take_one_of(stream_, kOperators);
    if (!op.has_value() && stream_.take_name("in")) op = CompareOp::kIn;
    if (!op.has_value() && stream_.at_name("not") && stream_.peek(1).kind == TokenKind::kName &&
        stream_.peek(1).text == "in") {
      stream_.take();
      stream_.take();
      op = CompareOp::kNotIn;
    }
    if (!op.has_value()) break;
    HEARTH_TRY(ExprPtr operand, sum());
    depth = std::max(depth, operand->depth);
    comparison.rest.emplace_back(*op, std::move(operand));
  }
  if (comparison.rest.empty()) return std::move(comparison.first);
  return make(line, depth, std::move(comparison));
}

Result<ExprPtr> ExpressionParser::sum() {
  static const OperatorTable<BinaryOp> kOperators = {{"+", BinaryOp::kAdd},
                                                     {"-", BinaryOp::kSubtract}};
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr left, concat());
  while (const std::optional<BinaryOp> op = take_one_of(stream_, kOperators)) {
    HEARTH_TRY(ExprPtr right, concat());
    const int depth = std::max(left->depth, right->depth);
    HEARTH_TRY(left, make(line, depth, Binary{*op, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::concat() {
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr first, product());
  if (!stream_.at_operator("~")) return first;
  Concat concat;
  concat.parts.push_back(std::move(first));
  while (stream_.take_operator("~")) {
    HEARTH_TRY(ExprPtr part, product());
    concat.parts.push_back(std::move(part));
  }
  const int depth = depth_of(concat.parts);
  return make(line, depth, std::move(concat));
}

Result<ExprPtr> ExpressionParser::product() {
  static const OperatorTable<BinaryOp> kOperators = {{"*", BinaryOp::kMultiply},
                                                     {"/", BinaryOp::kDivide},
                                                     {"//", BinaryOp::kFloorDivide},
                                                     {"%", BinaryOp::kModulo}};
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr left, power());
  while (const std::optional<BinaryOp> op = take_one_of(stream_, kOperators)) {
    HEARTH_TRY(ExprPtr right, power());
    const int depth = std::max(left->depth, right->depth);
    HEARTH_TRY(left, make(line, depth, Binary{*op, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::power() {
  const int line = stream_.line();
  HEARTH_TRY(ExprPtr left, unary(true));
  while (stream_.take_operator("**")) {
    HEARTH_TRY(ExprPtr right, unary(true));
    const int depth = std::max(left->depth, right->depth);
    HEARTH_TRY(left,
               make(line, depth, Binary{BinaryOp::kPower, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::unary(bool with_filters) {
  const Nesting nesting(nesting_);
  if (nesting.too_deep()) {
    return stream_.error(Code::kUnsupported, "the expression is nested deeper than " +
                                                 std::to_string(kTreeDepthMax) + " levels");
  }
  const int line = stream_.line();
  ExprPtr expr;
  if (stream_.at_operator("-") || stream_.at_operator("+")) {
    const UnaryOp op = stream_.take().text == "-" ? UnaryOp::kNegate : UnaryOp::kPlus;
    HEARTH_TRY(ExprPtr operand, unary(false));
    const int depth = operand->depth;
    HEARTH_TRY(expr, make(line, depth, Unary{op, std::move(operand)}));
  } else {
    HEARTH_TRY(expr, primary());
  }
  HEARTH_TRY(expr, postfix(std::move(expr)));
  if (!with_filters) return expr;
  return filters_and_tests(std::move(expr));
}

Result<ExprPtr> ExpressionParser::primary() {
  const int line = stream_.line();
  if (stream_.at_operator("(")) return parenthesis();
  if (stream_.at_operator("[")) return list();
  if (stream_.at_operator("{")) return dict();
  if (stream_.at(TokenKind::kInteger)) return make(line, 0, IntLiteral{stream_.take().integer});
  if (stream_.at(TokenKind::kFloat)) return make(line, 0, FloatLiteral{stream_.take().number});
  if (stream_.at(TokenKind::kString)) {
    std::string text;
    while (stream_.at(TokenKind::kString)) text += stream_.take().text;
    return make(line, 0, StringLiteral{std::make_shared<const std::string>(std::move(text))});
  }
  if (!stream_.at(TokenKind::kName)) return stream_.expected("an expression");
  std::string name = stream_.take().text;
  if (name == "true" || name == "True") return make(line, 0, BoolLiteral{true});
  if (name == "false" || name == "False") return make(line, 0, BoolLiteral{false});
  if (name == "none" || name == "None") return make(line, 0, NoneLiteral{});
  special_names.varargs |= name == "varargs";
  special_names.kwargs |= name == "kwargs";
  special_names.caller |= name == "caller";
  return make(line, 0, Name{std::move(name)});
}

Result<ExprPtr> ExpressionParser::parenthesis() {
  const int line = stream_.line();
  stream_.take();
  if (stream_.take_operator(")")) return make(line, 0, ListExpr{.tuple = true});
  HEARTH_TRY(ExprPtr expr, tuple());
  HEARTH_RETURN_IF_ERROR(stream_.expect_operator(")"));
  return expr;
}

Result<ExprPtr> ExpressionParser::list() {
  const int line = stream_.line();
  stream_.take();
  ListExpr list;
  while (!stream_.take_operator("]")) {
    if (!list.items.empty()) {
      HEARTH_RETURN_IF_ERROR(stream_.expect_operator(","));
      if (stream_.take_operator("]")) break;
    }
    HEARTH_TRY(ExprPtr item, expression());
    list.items.push_back(std::move(item));
  }
  const int depth = depth_of(list.items);
  return make(line, depth, std::move(list));
}

Result<ExprPtr> ExpressionParser::dict() {
  const int line = stream_.line();
  stream_.take();
  DictExpr dict;
  int depth = 0;
  while (!stream_.take_operator("}")) {
    if (!dict.items.empty()) {
      HEARTH_RETURN_IF_ERROR(stream_.expect_operator(","));
      if (stream_.take_operator("}")) break;
    }
    HEARTH_TRY(ExprPtr key, expression());
    HEARTH_RETURN_IF_ERROR(stream_.expect_operator(":"));
    HEARTH_TRY(ExprPtr value, expression());
    depth = std::max({depth, key->depth, value->depth});
    dict.items.emplace_back(std::move(key), std::move(value));
  }
  return make(line, depth, std::move(dict));
}

Result<ExprPtr> ExpressionParser::postfix(ExprPtr expr) {
  while (true) {
    if (stream_.at_operator(".")) {
      const int line = stream_.line();
      stream_.take();
      const int depth = expr->depth;
      if (stream_.at(TokenKind::kInteger)) {
        HEARTH_TRY(ExprPtr key, make(line, 0, IntLiteral{stream_.take().integer}));
        HEARTH_TRY(expr, make(line, depth, Subscript{std::move(expr), std::move(key)}));
      } else {
        HEARTH_TRY(std::string name, stream_.expect_any_name("the name of an attribute"));
        HEARTH_TRY(expr, make(line, depth, Attribute{std::move(expr), std::move(name)}));
      }
    } else if (stream_.at_operator("[")) {
      HEARTH_TRY(expr, subscript(std::move(expr)));
    } else if (stream_.at_operator("(")) {
      HEARTH_TRY(expr, call(std::move(expr)));
    } else {
      return expr;
    }
  }
}

Result<ExprPtr> ExpressionParser::subscript(ExprPtr object) {
  const int line = stream_.line();
  stream_.take();
  std::array<ExprPtr, 3> parts;  // start, stop, step
  size_t part = 0;
  while (!stream_.at_operator("]")) {
    if (stream_.at_operator(",")) {
      return stream_.error(Code::kUnsupported, "a tuple as subscript is not supported");
    }
    if (stream_.take_operator(":")) {
      if (++part == parts.size()) return stream_.expected("']'");
      continue;
    }
    if (parts[part] != nullptr) return stream_.expected("']'");
    HEARTH_TRY(parts[part], expression());
  }
  stream_.take();
  int depth = object->depth;
  for (const ExprPtr& expr : parts) depth = std::max(depth, depth_of(expr));
  if (part > 0) {
    return make(
        line, depth,
        Slice{std::move(object), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])});
  }
  if (parts[0] == nullptr) return stream_.expected("a subscript");
  return make(line, depth, Subscript{std::move(object), std::move(parts[0])});
}

Result<ExprPtr> ExpressionParser::filters_and_tests(ExprPtr expr) {
  while (true) {
    if (stream_.take_operator("|")) {
      HEARTH_TRY(expr, filter(std::move(expr)));
    } else if (stream_.take_name("is")) {
      HEARTH_TRY(expr, test(std::move(expr)));
    } else if (stream_.at_operator("(")) {
      HEARTH_TRY(expr, call(std::move(expr)));
    } else {
      return expr;
    }
  }
}

Result<ExprPtr> ExpressionParser::filter_chain() {
  HEARTH_TRY(ExprPtr expr, filter(nullptr));
  while (stream_.take_operator("|")) {
    HEARTH_TRY(expr, filter(std::move(expr)));
  }
  return expr;
}

Result<ExprPtr> ExpressionParser::filter(ExprPtr input) {
  const int line = stream_.line();
  HEARTH_TRY(std::string name, stream_.expect_any_name("the name of a filter"));
  Arguments given;
  if (stream_.at_operator("(")) {
    HEARTH_TRY(given, arguments());
  }
  const int depth = std::max(depth_of(input), depth_of(given));
  return make(line, depth, Filter{std::move(input), std::move(name), std::move(given)});
}

Result<ExprPtr> ExpressionParser::test(ExprPtr input) {
  const int line = stream_.line();
  const bool negated = stream_.take_name("not");
  HEARTH_TRY(std::string name, stream_.expect_any_name("the name of a test"));
  Arguments given;
  const bool begins_operand =
      stream_.at(TokenKind::kString) || stream_.at(TokenKind::kInteger) ||
      stream_.at(TokenKind::kFloat) || stream_.at_operator("[") || stream_.at_operator("{") ||
      (stream_.at(TokenKind::kName) && !stream_.at_name("else") && !stream_.at_name("or") &&
       !stream_.at_name("and") && !stream_.at_name("if") && !stream_.at_name("not") &&
       !stream_.at_name("in"));
  if (stream_.at_operator("(")) {
    HEARTH_TRY(given, arguments());
  } else if (begins_operand) {
    if (stream_.at_name("is")) return stream_.expected("no second 'is'");
    HEARTH_TRY(ExprPtr operand, primary());
    HEARTH_TRY(operand, postfix(std::move(operand)));
    given.positional.push_back(std::move(operand));
  }
  const int depth = std::max(input->depth, depth_of(given));
  HEARTH_TRY(ExprPtr expr,
             make(line, depth, Test{std::move(input), std::move(name), std::move(given)}));
  if (!negated) return expr;
  return make(line, depth + 1, Unary{UnaryOp::kNot, std::move(expr)});
}

Result<ExprPtr> ExpressionParser::call(ExprPtr callee) {
  const int line = stream_.line();
  HEARTH_TRY(Arguments given, arguments());
  const int depth = std::max(callee->depth, depth_of(given));
  return make(line, depth, Call{std::move(callee), std::move(given)});
}

Result<Arguments> ExpressionParser::arguments() {
  HEARTH_RETURN_IF_ERROR(stream_.expect_operator("("));
  Arguments given;
  bool first = true;
  while (!stream_.take_operator(")")) {
    if (!std::exchange(first, false)) {
      HEARTH_RETURN_IF_ERROR(stream_.expect_operator(","));
      if (stream_.take_operator(")")) break;
    }
    if (given.unpacked_named != nullptr) return stream_.expected("')'");
    if (stream_.at_operator("*") || stream_.at_operator("**")) {
      const bool by_name = stream_.take().text == "**";
      if (!by_name && given.unpacked != nullptr) return stream_.expected("no second '*'");
      HEARTH_TRY(ExprPtr value, expression());
      (by_name ? given.unpacked_named : given.unpacked) = std::move(value);
      continue;
    }
    const Token& next = stream_.peek(1);
    const bool named =
        stream_.at(TokenKind::kName) && next.kind == TokenKind::kOperator && next.text == "=";
    if (!named && (!given.named.empty() || given.unpacked != nullptr)) {
      return stream_.expected("a named argument");
    }
    std::string name;
    if (named) {
      name = stream_.take().text;
      stream_.take();
    }
    HEARTH_TRY(ExprPtr value, expression());
    if (named) {
      given.named.emplace_back(std::move(name), std::move(value));
    } else {
      given.positional.push_back(std::move(value));
    }
  }
  return given;
}

}  // namespace hearth::chat::jinja
