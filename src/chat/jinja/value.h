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

class Context;
struct For;
struct Scope;

struct Undefined {
  String why;  // "'name' is undefined"; null for one that nobody needs to explain
};
struct None {};
struct Namespace {  // attributes that a template may assign to
  Dict* attributes = nullptr;
};

// Text that is HTML already, from the filters `safe` and `escape`: what is added to it with + gets
// escaped. Otherwise a string like any other.
struct Markup {
  String text;
};

using Value = std::variant<Undefined, None, bool, int64_t, double, String, Markup, List*, Dict*,
                           Namespace, Loop*, Function*>;

// Python's types that are made of items in a row.
enum class ListKind : unsigned char {
  kList,
  kTuple,
  kGroup,     // a tuple of `groupby`, with the attributes grouper and list
  kKeys,      // dict.keys()
  kValues,    // dict.values()
  kItems,     // dict.items()
  kRange,     // range()
  kIterator,  // what lazy filters give: true, without a length, and empty once it was walked
};

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::kList;

  bool is_tuple() const { return kind == ListKind::kTuple || kind == ListKind::kGroup; }
  // Whether it has a length and positions.
  bool is_sequence() const {
    return kind == ListKind::kList || is_tuple() || kind == ListKind::kRange;
  }
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
  size_t index = 0;           // of the current item
  int depth = 0;              // how many calls of a recursive loop are around it
  const For* node = nullptr;  // what a recursive loop runs when it is called, and where; else null
  Scope* scope = nullptr;
  List* changed = nullptr;  // the last arguments of loop.changed()
};

// Arguments of a call, evaluated.
struct Given {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

inline Value make_string(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

inline Value make_markup(std::string text) {
  return Markup{std::make_shared<const std::string>(std::move(text))};
}

// Null unless `value` is one.
template <class T>
const T* get(const Value& value) {
  return std::get_if<T>(&value);
}
inline const std::string* get_string(const Value& value) {
  if (const String* text = get<String>(value)) return text->get();
  const Markup* markup = get<Markup>(value);
  return markup == nullptr ? nullptr : markup->text.get();
}
inline bool is_markup(const Value& value) { return std::holds_alternative<Markup>(value); }
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

// Whether the value can be a key.
inline bool is_hashable(const Value& value) {
  return get_list(value) == nullptr && get_dict(value) == nullptr;
}

// Python's bool().
bool is_true(const Value& value);

// The value as an integer, if it is an integer or a bool.
std::optional<int64_t> as_integer(const Value& value);
// The value as a float, if it is a number or a bool.
std::optional<double> as_number(const Value& value);

}  // namespace hearth::chat::jinja
