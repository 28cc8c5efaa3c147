#include "chat/jinja/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "chat/jinja/unicode.h"
#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

// Text that grows while the context can pay for it: shared lists make small values with endless
// texts.
class Writer {
 public:
  explicit Writer(Context& context) : context_(context) {}

  Result<void> add(std::string_view piece) {
    if (static_cast<int64_t>(text.size() + piece.size()) > context_.bytes_left()) {
      return context_.spend_bytes(static_cast<int64_t>(text.size() + piece.size()));
    }
    text += piece;
    return {};
  }
  // One more container around what follows.
  Result<void> enter() {
    if (++depth_ <= kValueDepthMax) return context_.spend_steps(1);
    return context_.error(Code::kResourceExhausted, "the value is nested deeper than " +
                                                        std::to_string(kValueDepthMax) + " levels");
  }
  void leave() { --depth_; }
  int depth() const { return depth_; }
  Context& context() { return context_; }

  std::string text;

 private:
  Context& context_;
  int depth_ = 0;
};

std::string quoted(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  while (!text.empty()) {
    const Utf8Step step = read_utf8(text);
    const std::string_view piece = text.substr(0, step.length);
    const char32_t c = step.character;
    text.remove_prefix(step.length);
    if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out += '\\';
      out += piece;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += piece;
    } else {
      const auto code = static_cast<uint32_t>(c);
      out += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
    }
  }
  out += quote;
  return out;
}

Result<void> write_repr(Writer& writer, const Value& value);

Result<void> write_range(Writer& writer, const List& range) {
  if (range.items.empty()) return writer.add("range(0, 0)");
  const int64_t first = *as_integer(range.items.front());
  const int64_t step = range.items.size() < 2 ? 1 : *as_integer(range.items[1]) - first;
  HEARTH_RETURN_IF_ERROR(writer.add(
      fmt::format("range({}, {}", first, *as_integer(range.items.back()) + (step > 0 ? 1 : -1))));
  return writer.add(step == 1 ? ")" : fmt::format(", {})", step));
}

Result<void> write_list(Writer& writer, List& list) {
  if (list.kind == ListKind::kIterator) return writer.add("<generator object>");
  if (list.kind == ListKind::kRange) return write_range(writer, list);
  const bool view = !list.is_tuple() && list.kind != ListKind::kList;
  if (view) HEARTH_RETURN_IF_ERROR(writer.add(std::string(type_name(Value(&list))) + "("));
  HEARTH_RETURN_IF_ERROR(writer.add(list.is_tuple() ? "(" : "["));
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) HEARTH_RETURN_IF_ERROR(writer.add(", "));
    HEARTH_RETURN_IF_ERROR(write_repr(writer, list.items[i]));
  }
  if (!list.is_tuple()) return writer.add(view ? "])" : "]");
  return writer.add(list.items.size() == 1 ? ",)" : ")");
}

Result<void> write_dict(Writer& writer, const Dict& dict) {
  HEARTH_RETURN_IF_ERROR(writer.add("{"));
  bool first = true;
  for (const auto& [key, value] : dict.items()) {
    if (!std::exchange(first, false)) HEARTH_RETURN_IF_ERROR(writer.add(", "));
    HEARTH_RETURN_IF_ERROR(write_repr(writer, key));
    HEARTH_RETURN_IF_ERROR(writer.add(": "));
    HEARTH_RETURN_IF_ERROR(write_repr(writer, value));
  }
  return writer.add("}");
}

Result<void> write_repr(Writer& writer, const Value& value) {
  if (is_undefined(value)) return writer.add("Undefined");
  if (is_none(value)) return writer.add("None");
  if (const bool* truth = get<bool>(value)) return writer.add(*truth ? "True" : "False");
  if (const int64_t* integer = get<int64_t>(value)) return writer.add(std::to_string(*integer));
  if (const double* number = get<double>(value)) return writer.add(to_text(*number));
  if (is_markup(value)) HEARTH_RETURN_IF_ERROR(writer.add("Markup("));
  if (const std::string* text = get_string(value)) {
    return writer.add(quoted(*text) + (is_markup(value) ? ")" : ""));
  }
  HEARTH_RETURN_IF_ERROR(writer.enter());
  if (List* list = get_list(value)) {
    HEARTH_RETURN_IF_ERROR(write_list(writer, *list));
  } else if (const Dict* dict = get_dict(value)) {
    HEARTH_RETURN_IF_ERROR(write_dict(writer, *dict));
  } else if (const Namespace* names = get<Namespace>(value)) {
    HEARTH_RETURN_IF_ERROR(writer.add("<Namespace "));
    HEARTH_RETURN_IF_ERROR(write_dict(writer, *names->attributes));
    HEARTH_RETURN_IF_ERROR(writer.add(">"));
  } else {
    HEARTH_RETURN_IF_ERROR(writer.add("<" + std::string(type_name(value)) + ">"));
  }
  writer.leave();
  return {};
}

std::string json_string(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Step step = read_utf8(text);
    const auto code = static_cast<uint32_t>(step.character);
    static constexpr std::string_view kPlain = "\"\\\n\r\t\f\b";
    static constexpr std::string_view kEscape = "\"\\nrtfb";
    if (const size_t i = kPlain.find(text[0]); i != std::string_view::npos) {
      out += '\\';
      out += kEscape[i];
    } else if (code >= 0x10000 && ensure_ascii) {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
    } else if (code < 0x20 || (code >= 0x7F && ensure_ascii && code != 0x7F)) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      out += text.substr(0, step.length);
    }
    text.remove_prefix(step.length);
  }
  return out + '"';
}

// Numbers, None and bools as JSON has them; null for other values.
std::optional<std::string> json_scalar(const Value& value) {
  if (is_none(value)) return "null";
  if (const bool* truth = get<bool>(value)) return *truth ? "true" : "false";
  if (const int64_t* integer = get<int64_t>(value)) return std::to_string(*integer);
  if (const double* number = get<double>(value)) {
    if (std::isnan(*number)) return "NaN";
    if (std::isinf(*number)) return *number > 0 ? "Infinity" : "-Infinity";
    return to_text(*number);
  }
  return std::nullopt;
}

class JsonWriter {
 public:
  JsonWriter(Context& context, const JsonStyle& style) : style_(style), writer_(context) {}

  Result<void> write(const Value& value) {
    if (const std::optional<std::string> scalar = json_scalar(value)) return writer_.add(*scalar);
    if (const std::string* text = get_string(value)) {
      return writer_.add(json_string(*text, style_.ensure_ascii));
    }
    HEARTH_RETURN_IF_ERROR(writer_.enter());
    const List* list = get_list(value);
    if (list != nullptr && (list->kind == ListKind::kList || list->is_tuple())) {
      HEARTH_RETURN_IF_ERROR(write_list(*list));
    } else if (const Dict* dict = get_dict(value)) {
      HEARTH_RETURN_IF_ERROR(write_dict(*dict));
    } else if (is_undefined(value)) {
      return writer_.context().undefined(value);
    } else {
      return writer_.context().error("a " + std::string(type_name(value)) +
                                     " cannot be written as JSON");
    }
    writer_.leave();
    return {};
  }

  std::string text() { return std::move(writer_.text); }

 private:
  Result<void> new_line(bool first, int depth) {
    if (!first) HEARTH_RETURN_IF_ERROR(writer_.add(style_.item_separator));
    if (!style_.indent.has_value()) return {};
    HEARTH_RETURN_IF_ERROR(writer_.add("\n"));
    for (int i = 0; i < depth; ++i) HEARTH_RETURN_IF_ERROR(writer_.add(*style_.indent));
    return {};
  }

  Result<void> write_list(const List& list) {
    HEARTH_RETURN_IF_ERROR(writer_.add("["));
    bool first = true;
    for (const Value& item : list.items) {
      HEARTH_RETURN_IF_ERROR(new_line(std::exchange(first, false), writer_.depth()));
      HEARTH_RETURN_IF_ERROR(write(item));
    }
    if (!first) HEARTH_RETURN_IF_ERROR(new_line(true, writer_.depth() - 1));
    return writer_.add("]");
  }

  Result<void> write_dict(const Dict& dict) {
    std::vector<std::pair<std::string, const Value*>> items;
    for (const auto& [key, value] : dict.items()) {
      const std::string* text = get_string(key);
      const std::optional<std::string> scalar = json_scalar(key);
      if (text == nullptr && !scalar.has_value()) {
        return writer_.context().error("keys must be strings or numbers");
      }
      items.emplace_back(text != nullptr ? *text : *scalar, &value);
    }
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    HEARTH_RETURN_IF_ERROR(writer_.add("{"));
    bool first = true;
    for (const auto& [key, value] : items) {
      HEARTH_RETURN_IF_ERROR(new_line(std::exchange(first, false), writer_.depth()));
      HEARTH_RETURN_IF_ERROR(writer_.add(json_string(key, style_.ensure_ascii)));
      HEARTH_RETURN_IF_ERROR(writer_.add(style_.key_separator));
      HEARTH_RETURN_IF_ERROR(write(*value));
    }
    if (!first) HEARTH_RETURN_IF_ERROR(new_line(true, writer_.depth() - 1));
    return writer_.add("}");
  }

  const JsonStyle& style_;
  Writer writer_;
};

}  // namespace

std::string to_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char digits[64];
  const double size = std::fabs(number);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(digits, digits + sizeof(digits), number,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(digits, end.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Result<std::string> to_text(Context& context, const Value& value) {
  if (is_undefined(value)) return std::string();
  if (const std::string* text = get_string(value)) return *text;
  return to_repr(context, value);
}

Result<std::string> to_repr(Context& context, const Value& value) {
  Writer writer(context);
  HEARTH_RETURN_IF_ERROR(write_repr(writer, value));
  return std::move(writer.text);
}

Result<std::string> to_json(Context& context, const Value& value, const JsonStyle& style) {
  JsonWriter writer(context, style);
  HEARTH_RETURN_IF_ERROR(writer.write(value));
  return writer.text();
}

}  // namespace hearth::chat::jinja
