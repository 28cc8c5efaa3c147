// Values as text: Python's str(), repr() and json.dumps().
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// Python's str(); nothing for undefined values. kResourceExhausted when it gets too long or too
// deep.
Result<std::string> to_text(Context& context, const Value& value);
// Python's repr().
Result<std::string> to_repr(Context& context, const Value& value);
// Python's repr() of a float: the shortest digits that read back as the same number.
std::string to_text(double number);

// &, <, >, ' and " as HTML writes them.
std::string escape_html(std::string_view text);

struct JsonStyle {
  std::optional<std::string> indent;  // one level's indentation; absent: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
// Python's json.dumps(). kInvalidArgument for values that JSON has no form for.
Result<std::string> to_json(Context& context, const Value& value, const JsonStyle& style);

}  // namespace hearth::chat::jinja
