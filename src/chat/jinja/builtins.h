// Filters, tests, functions and methods that templates can name.
#pragma once

#include <string_view>

#include "base/result.h"
#include "chat/jinja/context.h"
#include "chat/jinja/value.h"

namespace hearth::chat::jinja {

// A test is a Native whose result is a bool. `self` is the value tested or filtered. Each is null
// when unknown.
Native find_filter(std::string_view name);
Native find_test(std::string_view name);
// A method of `object`'s type.
Native find_method(const Value& object, std::string_view name);
// Functions that every template can call: range, namespace, dict, raise_exception, strftime_now.
Native find_function(std::string_view name);

// Calls `native`, charging for the text that it may read.
Result<Value> call_native(Context& context, Native native, const Value& self, const Given& given);

// Parts of the tables above.
Native find_text_filter(std::string_view name);
Native find_list_filter(std::string_view name);
Native find_string_method(std::string_view name);

}  // namespace hearth::chat::jinja
