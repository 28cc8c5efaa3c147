#include "chat/jinja/context.h"

namespace hearth::chat::jinja {

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    for (const auto& [known, value] : scope->variables) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [known, old] : variables) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(name, std::move(value));
}

Result<void> Context::spend_steps(int64_t steps) {
  if (steps > steps_left_) {
    return error(Code::kResourceExhausted, "the chat template takes too many steps");
  }
  steps_left_ -= steps;
  return {};
}

Result<void> Context::spend_bytes(int64_t bytes) {
  if (bytes > bytes_left_) {
    return error(Code::kResourceExhausted, "the chat template needs too much memory");
  }
  bytes_left_ -= bytes;
  return {};
}

Result<Value> Context::string(std::string text) {
  HEARTH_RETURN_IF_ERROR(spend_bytes(static_cast<int64_t>(text.size() + sizeof(text))));
  return make_string(std::move(text));
}

Result<Value> Context::list(std::vector<Value> items, bool tuple) {
  const size_t bytes = items.size() * sizeof(Value) + sizeof(List);
  HEARTH_RETURN_IF_ERROR(spend_bytes(static_cast<int64_t>(bytes)));
  return Value(&lists_.emplace_back(List{std::move(items), tuple}));
}

Result<Dict*> Context::dict() {
  HEARTH_RETURN_IF_ERROR(spend_bytes(sizeof(Dict)));
  return &dicts_.emplace_back();
}

Result<void> Context::set(Dict& dict, const Value& key, Value value) {
  const bool hashable = get_list(key) == nullptr && get_dict(key) == nullptr;
  if (!hashable) return error("unhashable type: '" + std::string(type_name(key)) + "'");
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
