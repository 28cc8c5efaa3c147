#include "chat/jinja/context.h"

namespace hearth::chat::jinja {

namespace {

constexpr size_t kFewVariables = 16;

}  // namespace

size_t Scope::position(std::string_view name) const {
  if (variables.size() > kFewVariables) {
    const auto found = positions.find(name);
    return found == positions.end() ? variables.size() : found->second;
  }
  size_t i = 0;
  while (i < variables.size() && variables[i].first != name) ++i;
  return i;
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    const size_t i = scope->position(name);
    if (i < scope->variables.size()) return &scope->variables[i].second;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  const size_t i = position(name);
  if (i < variables.size()) {
    variables[i].second = std::move(value);
    return;
  }
  variables.emplace_back(name, std::move(value));
  if (variables.size() <= kFewVariables) return;
  for (size_t next = positions.size(); next < variables.size(); ++next) {
    positions.emplace(variables[next].first, next);
  }
}

Result<void> Context::spend_steps(int64_t steps) {
  if (steps > steps_left_) {
    return error(Code::kResourceExhausted,
                 "the chat template takes more than " + std::to_string(kStepsMax) + " steps");
  }
  steps_left_ -= steps;
  return {};
}

Result<void> Context::spend_bytes(int64_t bytes) {
  if (bytes > bytes_left_) {
    return error(Code::kResourceExhausted, "the chat template needs more than " +
                                               std::to_string(kValueBytesMax) + " bytes of memory");
  }
  bytes_left_ -= bytes;
  return {};
}

Result<Value> Context::string(std::string text) {
  HEARTH_RETURN_IF_ERROR(spend_bytes(static_cast<int64_t>(text.size() + sizeof(text))));
  return make_string(std::move(text));
}

Result<Value> Context::list(std::vector<Value> items, ListKind kind) {
  const size_t bytes = items.size() * sizeof(Value) + sizeof(List);
  HEARTH_RETURN_IF_ERROR(spend_bytes(static_cast<int64_t>(bytes)));
  return Value(&lists_.emplace_back(List{std::move(items), kind}));
}

Result<Dict*> Context::dict() {
  HEARTH_RETURN_IF_ERROR(spend_bytes(sizeof(Dict)));
  return &dicts_.emplace_back();
}

Result<void> Context::set(Dict& dict, const Value& key, Value value) {
  if (!is_hashable(key)) return error("unhashable type: '" + std::string(type_name(key)) + "'");
  HEARTH_RETURN_IF_ERROR(spend_bytes(sizeof(Dict::Item) + sizeof(size_t) * 4));
  // Keys that are no strings are looked for one by one.
  if (get_string(key) == nullptr) {
    HEARTH_RETURN_IF_ERROR(spend_steps(static_cast<int64_t>(dict.items().size())));
  }
  dict.set(key, std::move(value));
  return {};
}

Result<Loop*> Context::loop(std::vector<Value> items) {
  const size_t bytes = items.size() * sizeof(Value) + sizeof(Loop);
  HEARTH_RETURN_IF_ERROR(spend_bytes(static_cast<int64_t>(bytes)));
  return &loops_.emplace_back(Loop{.items = std::move(items)});
}

Result<Value> Context::function(Function function) {
  HEARTH_RETURN_IF_ERROR(spend_bytes(sizeof(Function)));
  return Value(&functions_.emplace_back(std::move(function)));
}

Result<Scope*> Context::scope(Scope* parent) {
  HEARTH_RETURN_IF_ERROR(spend_bytes(sizeof(Scope)));
  return &scopes_.emplace_back(Scope{.parent = parent});
}

Error Context::undefined(const Value& value) const {
  const Undefined* undefined = get<Undefined>(value);
  const bool explained = undefined != nullptr && undefined->why != nullptr;
  return error(explained ? *undefined->why : "the value is undefined");
}

}  // namespace hearth::chat::jinja
