// One rendering: who owns its containers, and how much it may still do.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

inline constexpr int64_t kOutputBytesMax = 8_MiB;
inline constexpr int64_t kStepsMax = 10'000'000;
inline constexpr int64_t kValueBytesMax = 128_MiB;
// Of expressions, statements and macros in each other.
inline constexpr int kRecursionMax = 600;
// Of containers in each other, when they are printed or compared.
inline constexpr int kValueDepthMax = 200;

struct MacroBody;

// Variables of a block. Names point into the template or into the variables it is rendered with.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> variables;
  std::unordered_map<std::string_view, size_t> positions;  // once there are many

  // Null when neither this scope nor those around it have the name.
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);

 private:
  size_t position(std::string_view name) const;  // variables.size() when absent
};

class Context;
// A function in C++: `self` is what a method is called on.
using Native = Result<Value> (*)(Context&, const Value& self, const Given& given);

// Something that can be called: a macro where it was defined, or a native function or method.
struct Function {
  Native native = nullptr;
  Value self;
  const MacroBody* macro = nullptr;
  Scope* scope = nullptr;
};

// Not thread-safe.
class Context {
 public:
  // kResourceExhausted when the rendering has taken too many steps.
  Result<void> spend_steps(int64_t steps);
  // The same for memory: called before or after making values of that size in all.
  Result<void> spend_bytes(int64_t bytes);
  int64_t bytes_left() const { return bytes_left_; }

  // New values, charged for.
  Result<Value> string(std::string text);
  Result<Value> list(std::vector<Value> items, ListKind kind = ListKind::kList);
  Result<Dict*> dict();
  Result<void> set(Dict& dict, const Value& key, Value value);
  Result<Loop*> loop(std::vector<Value> items);
  Result<Value> function(Function function);
  Result<Scope*> scope(Scope* parent);

  // An error of the template at the line it is at.
  Error error(std::string_view message) const { return error(Code::kInvalidArgument, message); }
  Error error(Code code, std::string_view message) const {
    return Error(code, "line " + std::to_string(line) + ": " + std::string(message));
  }
  // What happens to an undefined value that is used.
  Error undefined(const Value& value) const;

  int line = 1;  // of the template, being rendered

 private:
  int64_t steps_left_ = kStepsMax;
  int64_t bytes_left_ = kValueBytesMax;
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::deque<Loop> loops_;
  std::deque<Function> functions_;
  std::deque<Scope> scopes_;
};

}  // namespace hearth::chat::jinja
