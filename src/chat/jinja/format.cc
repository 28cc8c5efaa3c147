#include "chat/jinja/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "chat/jinja/access.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"
#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

constexpr int kPrecisionMax = 1000;

// How one value is to be written; what both notations have in common.
struct Style {
  std::string fill = " ";
  char align = 0;       // '<', '>', '^', '=' (between sign and digits); 0: the type's own
  char sign = '-';      // or '+', ' '
  bool prefix = false;  // 0x, 0o, 0b
  int64_t width = 0;
  char separator = 0;  // of thousands: ',', '_' or 0
  int precision = -1;  // -1: the type's own
  char type = 0;       // 0: the value's own
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The number at the beginning of `text`, which is taken off it; nothing if there is none.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || !is_digit(text[0]) || parsed.ec != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

Result<void> take_precision(const Context& context, std::string_view& text, Style& style) {
  if (!take(text, '.')) return {};
  const std::optional<int64_t> precision = take_number(text);
  if (precision.value_or(0) > kPrecisionMax) {
    return context.error("a precision above " + std::to_string(kPrecisionMax));
  }
  style.precision = static_cast<int>(precision.value_or(0));
  return {};
}

// `sign` and `digits`, as wide as `style` wants it.
Result<std::string> pad(Context& context, const Style& style, char natural, std::string sign,
                        std::string digits) {
  const auto size = static_cast<int64_t>(length_of(sign) + length_of(digits));
  const int64_t missing = std::max<int64_t>(style.width - size, 0);
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(missing));
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(missing * 3));
  const char align = style.align == 0 ? natural : style.align;
  const int64_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string left;
  std::string right;
  for (int64_t i = 0; i < missing; ++i) (i < before ? left : right) += style.fill;
  return align == '=' ? sign + left + digits : left + sign + digits + right;
}

void group(std::string& digits, const Style& style) {
  if (style.separator == 0) return;
  const size_t step = style.type == 'x' || style.type == 'b' || style.type == 'o' ? 4 : 3;
  size_t end = 0;
  while (end < digits.size() && std::isalnum(static_cast<unsigned char>(digits[end])) != 0) ++end;
  for (size_t i = end; i > step; i -= step) digits.insert(i - step, 1, style.separator);
}

std::string float_digits(double size, const Style& style) {
  const int precision = style.precision < 0 ? 6 : style.precision;
  if (!std::isfinite(size)) return std::isnan(size) ? "nan" : "inf";
  switch (style.type) {
    case 'e':
      return fmt::format("{:.{}e}", size, precision);
    case 'f':
      return fmt::format("{:.{}f}", size, precision);
    case '%':
      return fmt::format("{:.{}f}%", size * 100, precision);
    case 'g':
      return fmt::format("{:.{}g}", size, std::max(precision, 1));
    default:
      break;
  }
  if (style.precision < 0) return to_text(size);
  std::string text = fmt::format("{:.{}g}", size, std::max(style.precision, 1));
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string integer_digits(uint64_t size, const Style& style) {
  const std::string prefix = style.prefix && style.type != 'd' ? std::string("0") + style.type : "";
  switch (style.type) {
    case 'b':
      return prefix + fmt::format("{:b}", size);
    case 'o':
      return prefix + fmt::format("{:o}", size);
    case 'x':
      return prefix + fmt::format("{:x}", size);
    default:
      return std::to_string(size);
  }
}

Result<std::string> write_number(Context& context, const Value& value, Style style) {
  const bool upper = style.type >= 'A' && style.type <= 'Z';
  if (upper) style.type = static_cast<char>(style.type | 0x20);
  const std::optional<int64_t> integer = as_integer(value);
  const bool as_float = std::string_view("efg%").find(style.type) != std::string_view::npos;
  bool negative = false;
  std::string digits;
  if (integer.has_value() && style.type == 'c') {
    if (*integer < 0 || *integer > 0x10FFFF) return context.error("%c needs a character's number");
    append_utf8(digits, static_cast<char32_t>(*integer));
    return pad(context, style, '<', "", std::move(digits));
  }
  if (integer.has_value() && !as_float) {
    negative = *integer < 0;
    if (style.type == 0 || style.type == 'n') style.type = 'd';
    const auto size = static_cast<uint64_t>(*integer);
    digits = integer_digits(negative ? -size : size, style);
  } else if (as_float || style.type == 0) {
    const double number = *as_number(value);
    negative = std::signbit(number) && !std::isnan(number);
    digits = float_digits(std::fabs(number), style);
  } else {
    return context.error(std::string("the format '") + style.type + "' needs an integer");
  }
  group(digits, style);
  if (upper) {
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  }
  const std::string sign = negative ? "-" : style.sign == '-' ? "" : std::string(1, style.sign);
  return pad(context, style, '>', sign, std::move(digits));
}

Result<std::string> write_text(Context& context, std::string_view text, const Style& style,
                               char natural) {
  if (style.precision >= 0) text = first_characters(text, static_cast<size_t>(style.precision));
  return pad(context, style, natural, "", std::string(text));
}

// Python's format(value, specification).
Result<std::string> format_value(Context& context, const Value& value, std::string_view spec) {
  if (spec.empty()) return to_text(context, value);
  const std::string whole(spec.substr(0, 40));
  Style style;
  const size_t first = read_utf8(spec).length;
  constexpr std::string_view kAligns = "<>^=";
  if (first < spec.size() && kAligns.find(spec[first]) != std::string_view::npos) {
    style.fill = spec.substr(0, first);
    style.align = spec[first];
    spec.remove_prefix(first + 1);
  } else if (kAligns.find(spec[0]) != std::string_view::npos) {
    style.align = spec[0];
    spec.remove_prefix(1);
  }
  if (!spec.empty() && std::string_view("+- ").find(spec[0]) != std::string_view::npos) {
    style.sign = spec[0];
    spec.remove_prefix(1);
  }
  style.prefix = take(spec, '#');
  if (take(spec, '0') && style.align == 0) {
    style.fill = "0";
    style.align = '=';
  }
  style.width = take_number(spec).value_or(0);
  if (spec.starts_with(',') || spec.starts_with('_')) {
    style.separator = spec[0];
    spec.remove_prefix(1);
  }
  HEARTH_RETURN_IF_ERROR(take_precision(context, spec, style));
  if (!spec.empty()) {
    style.type = spec[0];
    spec.remove_prefix(1);
  }
  const std::string* text = get_string(value);
  const bool number = as_number(value).has_value();
  const std::string_view types =
      number ? std::string_view("bcdeEfFgGnoxX%\0", 15) : std::string_view("s\0", 2);
  if (!spec.empty() || (text == nullptr && !number) ||
      types.find(style.type) == std::string_view::npos || (text != nullptr && style.align == '=')) {
    return context.error("the format '" + whole + "' does not fit a " +
                         std::string(type_name(value)));
  }
  if (number) return write_number(context, value, style);
  return write_text(context, *text, style, '<');
}

// The arguments of one %: a tuple's items in turn, or one value; or a dict's values by name.
class PercentArguments {
 public:
  explicit PercentArguments(const Value& all) : all_(all) {
    const List* list = get_list(all);
    if (list != nullptr && list->is_tuple()) tuple_ = list;
  }

  Result<Value> next(const Context& context) {
    const size_t count = tuple_ == nullptr ? 1 : tuple_->items.size();
    if (taken_ >= count) return context.error("not enough arguments for format string");
    return tuple_ == nullptr ? (++taken_, all_) : tuple_->items[taken_++];
  }

  Result<Value> named(Context& context, std::string_view name) {
    if (get_dict(all_) == nullptr) return context.error("format requires a mapping");
    taken_ = 1;
    const Value* value = get_dict(all_)->find(name);
    if (value == nullptr) return context.error("no value for '" + std::string(name) + "'");
    return *value;
  }

  bool all_used() const {
    if (tuple_ != nullptr) return taken_ == tuple_->items.size();
    return taken_ == 1 || get_dict(all_) != nullptr || get_list(all_) != nullptr;
  }

 private:
  const Value& all_;
  const List* tuple_ = nullptr;
  size_t taken_ = 0;
};

Result<std::string> write_percent(Context& context, const Value& value, Style style, char type) {
  if (type == 's' || type == 'r' || type == 'a') {
    HEARTH_TRY(const std::string text,
               type == 's' ? to_text(context, value) : to_repr(context, value));
    style.fill = " ";
    if (style.align == '=') style.align = 0;
    return write_text(context, text, style, '>');
  }
  const std::string* text = get_string(value);
  if (type == 'c' && text != nullptr && length_of(*text) == 1) {
    return write_text(context, *text, style, '>');
  }
  if (is_undefined(value)) return context.undefined(value);
  const bool known = std::string_view("diueEfFgGxXoc").find(type) != std::string_view::npos;
  if (!known || !as_number(value).has_value()) {
    return context.error(std::string("the format %") + type + " does not fit a " +
                         std::string(type_name(value)));
  }
  style.type = type;
  if (type == 'd' || type == 'i' || type == 'u') {
    style.type = 'd';
    const double* number = get<double>(value);
    if (number != nullptr && !(std::fabs(*number) < 9.2e18)) {
      return context.error("%d needs a number that fits 64 bits");
    }
    if (number != nullptr) return write_number(context, static_cast<int64_t>(*number), style);
  }
  return write_number(context, value, style);
}

// What stands between `%` and the type.
Result<Style> percent_style(Context& context, std::string_view& text, PercentArguments& arguments) {
  Style style;
  bool zero = false;
  for (; !text.empty(); text.remove_prefix(1)) {
    if (text[0] == '-') {
      style.align = '<';
    } else if (text[0] == '+' || (text[0] == ' ' && style.sign != '+')) {
      style.sign = text[0];
    } else if (text[0] == '0') {
      zero = true;
    } else if (text[0] == '#') {
      style.prefix = true;
    } else if (text[0] != ' ') {
      break;
    }
  }
  if (zero && style.align == 0) {
    style.fill = "0";
    style.align = '=';
  }
  if (take(text, '*')) {
    HEARTH_TRY(const Value width, arguments.next(context));
    if (!as_integer(width).has_value()) return context.error("* wants int");
    style.width = *as_integer(width);
  } else {
    style.width = take_number(text).value_or(0);
  }
  HEARTH_RETURN_IF_ERROR(take_precision(context, text, style));
  while (text.starts_with('l') || text.starts_with('h') || text.starts_with('L')) {
    text.remove_prefix(1);
  }
  return style;
}

// The argument of a field: `{}`, `{0}`, `{name}`.
Result<Value> field_value(Context& context, const Given& given, std::string_view name,
                          size_t& next) {
  if (name.find_first_of(".[{") != std::string_view::npos) {
    return context.error(Code::kUnsupported, "fields that reach into values are not supported");
  }
  std::string_view rest = name;
  const std::optional<int64_t> number = take_number(rest);
  if (name.empty() || (number.has_value() && rest.empty())) {
    const size_t index = name.empty() ? next++ : static_cast<size_t>(*number);
    if (index < given.positional.size()) return given.positional[index];
  }
  for (const auto& [known, value] : given.named) {
    if (known == name) return value;
  }
  return context.error("format() has no argument '" + std::string(name) + "'");
}

}  // namespace

Result<std::string> format_percent(Context& context, std::string_view text,
                                   const Value& all_arguments) {
  PercentArguments arguments(all_arguments);
  std::string out;
  while (true) {
    const size_t percent = std::min(text.find('%'), text.size());
    out += text.substr(0, percent);
    text.remove_prefix(percent);
    if (text.empty()) break;
    text.remove_prefix(1);
    std::optional<Value> value;
    if (text.starts_with('(')) {
      const size_t close = text.find(')');
      if (close == std::string_view::npos) return context.error("incomplete format key");
      HEARTH_TRY(value, arguments.named(context, text.substr(1, close - 1)));
      text.remove_prefix(close + 1);
    }
    HEARTH_TRY(const Style style, percent_style(context, text, arguments));
    if (text.empty()) return context.error("incomplete format");
    const char type = text[0];
    text.remove_prefix(1);
    if (type == '%') {
      out += '%';
      continue;
    }
    if (!value.has_value()) {
      HEARTH_TRY(value, arguments.next(context));
    }
    HEARTH_TRY(const std::string piece, write_percent(context, *value, style, type));
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(piece.size())));
    out += piece;
  }
  if (!arguments.all_used()) {
    return context.error("not all arguments converted during string formatting");
  }
  return out;
}

Result<std::string> format_fields(Context& context, std::string_view text, const Given& given) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{' && text[i] != '}') {
      out += text[i];
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == text[i]) {
      out += text[i++];
      continue;
    }
    const size_t close = text.find('}', i);
    if (text[i] == '}' || close == std::string_view::npos) {
      return context.error("unbalanced braces");
    }
    std::string_view field = text.substr(i + 1, close - i - 1);
    i = close;
    const size_t colon = std::min(field.find(':'), field.size());
    const std::string_view spec = colon < field.size() ? field.substr(colon + 1) : "";
    field = field.substr(0, colon);
    if (spec.find('{') != std::string_view::npos) {
      return context.error(Code::kUnsupported, "fields in fields are not supported");
    }
    const bool repr = field.ends_with("!r");
    const bool str = field.ends_with("!s");
    if (repr || str) field.remove_suffix(2);
    HEARTH_TRY(Value value, field_value(context, given, field, next));
    if (repr || str) {
      HEARTH_TRY(std::string written, repr ? to_repr(context, value) : to_text(context, value));
      HEARTH_TRY(value, context.string(std::move(written)));
    }
    HEARTH_TRY(const std::string piece, format_value(context, value, spec));
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(piece.size())));
    out += piece;
  }
  return out;
}

}  // namespace hearth::chat::jinja
