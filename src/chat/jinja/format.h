// Text with values put into it: Python's % operator, str.format() and format specifications.
// https://docs.python.org/3/library/string.html#format-specification-mini-language,
// https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// Python's `text % arguments`. kInvalidArgument when text and arguments do not fit together.
Result<std::string> format_percent(Context& context, std::string_view text, const Value& arguments);

// Python's `text.format(...)`: fields `{}`, `{0}`, `{name}`, each with `!r`, `!s` and a
// specification. kUnsupported for fields that reach into values (`{a.b}`, `{a[b]}`) and for nested
// ones.
Result<std::string> format_fields(Context& context, std::string_view text, const Given& given);

}  // namespace hearth::chat::jinja
