// A template's syntax tree. Trees are at most kTreeDepthMax deep, so that walking and destroying
// them by recursion is safe whatever the source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::chat::jinja {

inline constexpr int kTreeDepthMax = 200;

struct Expr;
struct Statement;
using ExprPtr = std::unique_ptr<Expr>;
using Block = std::vector<Statement>;

// --- expressions ---

struct NoneLiteral {};
struct BoolLiteral {
  bool value = false;
};
struct IntLiteral {
  int64_t value = 0;
};
struct FloatLiteral {
  double value = 0;
};
struct StringLiteral {
  std::shared_ptr<const std::string> value;  // shared with every value made from it
};
struct Name {
  std::string name;
};
struct ListExpr {
  std::vector<ExprPtr> items;
  bool tuple = false;
};
struct DictExpr {
  std::vector<std::pair<ExprPtr, ExprPtr>> items;
};
struct Attribute {  // object.name
  ExprPtr object;
  std::string name;
};
struct Subscript {  // object[key]
  ExprPtr object;
  ExprPtr key;
};
struct Slice {  // object[start:stop:step]; absent parts are null
  ExprPtr object;
  ExprPtr start;
  ExprPtr stop;
  ExprPtr step;
};
struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr unpacked;        // *unpacked, or null
  ExprPtr unpacked_named;  // **unpacked_named, or null
};
struct Call {
  ExprPtr callee;
  Arguments arguments;
};
// Names that no filter or test has are errors where they are evaluated, as in Jinja inside an if.
struct Filter {  // input | name(arguments); null input inside {% filter %} and {% set x | f %}
  ExprPtr input;
  std::string name;
  Arguments arguments;
};
struct Test {  // input is name(arguments)
  ExprPtr input;
  std::string name;
  Arguments arguments;
};
enum class UnaryOp { kNegate, kPlus, kNot };
struct Unary {
  UnaryOp op;
  ExprPtr operand;
};
enum class BinaryOp { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
struct Binary {
  BinaryOp op;
  ExprPtr left;
  ExprPtr right;
};
struct Logical {  // and, or: gives an operand, and evaluates the right one only if it matters
  bool is_and = false;
  ExprPtr left;
  ExprPtr right;
};
struct Concat {  // a ~ b ~ c
  std::vector<ExprPtr> parts;
};
enum class CompareOp { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };
struct Compare {  // a < b <= c
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
struct Conditional {  // then if condition else otherwise; null otherwise gives undefined
  ExprPtr condition;
  ExprPtr then;
  ExprPtr otherwise;
};

struct Expr {
  int line = 1;
  int depth = 1;  // of the tree below, this node included
  std::variant<NoneLiteral, BoolLiteral, IntLiteral, FloatLiteral, StringLiteral, Name, ListExpr,
               DictExpr, Attribute, Subscript, Slice, Call, Filter, Test, Unary, Binary, Logical,
               Concat, Compare, Conditional>
      node;
};

// --- statements ---

// What is assigned to: a name, namespace.name, or several of them.
struct Target {
  std::string name;
  std::string attribute;      // of the namespace `name`; empty for a variable
  std::vector<Target> parts;  // not empty: unpacks
};

struct Text {
  std::string text;
};
struct Output {
  ExprPtr value;
};
struct If {
  std::vector<std::pair<ExprPtr, Block>> branches;
  Block otherwise;
};
struct For {
  Target target;
  ExprPtr items;
  ExprPtr condition;  // null: every item
  bool recursive = false;
  Block body;
  Block otherwise;
};
struct Set {
  Target target;
  ExprPtr value;
};
struct SetBlock {
  Target target;
  ExprPtr filter;  // null: the text itself
  Block body;
};
struct MacroBody {
  std::string name;
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // with default or null
  bool takes_varargs = false;  // the body names `varargs`: more positional arguments are welcome
  bool takes_kwargs = false;   // the same for `kwargs` and named ones
  bool takes_caller = false;   // the same for `caller` and a call block
  Block body;
};
struct Macro {
  MacroBody macro;
};
struct CallBlock {
  ExprPtr call;
  MacroBody caller;
};
struct FilterBlock {
  ExprPtr filter;
  Block body;
};
struct With {
  std::vector<std::pair<Target, ExprPtr>> variables;
  Block body;
};
struct Scoped {  // {% generation %}: its own scope, otherwise just its body
  Block body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line = 1;
  std::variant<Text, Output, If, For, Set, SetBlock, Macro, CallBlock, FilterBlock, With, Scoped,
               Break, Continue>
      node;
};

}  // namespace hearth::chat::jinja
