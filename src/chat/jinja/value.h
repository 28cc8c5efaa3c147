// What a template computes with: Python's values, as far as templates see them.
//
// Strings are shared and immutable. Containers belong to the Context of one rendering and are
// pointed to, so that values may form cycles and any depth of nesting, and destroying them is never
// recursive.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::chat::jinja {

struct List;
class Dict;
struct Loop;
struct Function;

using String = std::shared_ptr<const std::string>;

struct Undefined {
  String why;  // "'name' is undefined"; null for one that nobody needs to explain
};
struct None {};
struct Namespace {  // attributes that a template may assign to
  Dict* attributes = nullptr;
};

using Value = std::variant<Undefined, None, bool, int64_t, double, String, List*, Dict*, Namespace,
                           Loop*, Function*>;

struct List {
  std::vector<Value> items;
  bool tuple = false;
};

// Keys in order of insertion. Keys are anything but containers; 1, 1.0 and true are the same key.
class Dict {
 public:
  using Item = std::pair<Value, Value>;

  const std::vector<Item>& items() const { return items_; }
  // Null when absent.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(const Value& key, Value value);

 private:
  size_t position(const Value& key) const;

  std::vector<Item> items_;
  std::unordered_map<std::string_view, size_t>
      strings_;        // positions of string keys; they own the text
  size_t others_ = 0;  // how many keys are no strings
};

// The variable `loop`.
struct Loop {
  std::vector<Value> items;
  size_t index = 0;  // of the current item
};

// Arguments of a call, evaluated.
struct Given {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

inline Value make_string(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

// Null unless `value` is one.
template <class T>
const T* get(const Value& value) {
  return std::get_if<T>(&value);
}
inline const std::string* get_string(const Value& value) {
  const String* text = get<String>(value);
  return text == nullptr ? nullptr : text->get();
}
inline List* get_list(const Value& value) {
  List* const* list = std::get_if<List*>(&value);
  return list == nullptr ? nullptr : *list;
}
inline Dict* get_dict(const Value& value) {
  Dict* const* dict = std::get_if<Dict*>(&value);
  return dict == nullptr ? nullptr : *dict;
}
inline bool is_undefined(const Value& value) { return std::holds_alternative<Undefined>(value); }
inline bool is_none(const Value& value) { return std::holds_alternative<None>(value); }

// Python's names of the types, for messages: "str", "list", ...
std::string_view type_name(const Value& value);

// Python's bool().
bool is_true(const Value& value);

// The value as an integer, if it is an integer or a bool.
std::optional<int64_t> as_integer(const Value& value);
// The value as a float, if it is a number or a bool.
std::optional<double> as_number(const Value& value);

}  // namespace hearth::chat::jinja
