// Filters that make or take text and numbers.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "chat/jinja/access.h"
#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/format.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"
#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

using Table = std::pair<std::string_view, Native>;

// `text`, made from `self`: markup if that is.
Result<Value> text_like(Context& context, const Value& self, std::string text) {
  HEARTH_TRY(Value value, context.string(std::move(text)));
  return is_markup(self) ? Value(Markup{std::get<String>(value)}) : value;
}

template <std::string (*kMap)(std::string_view)>
Result<Value> mapped(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  HEARTH_TRY(const std::string text, to_text(context, self));
  return text_like(context, self, kMap(text));
}

// Words after spaces, hyphens and opening brackets begin in upper case, as Jinja's filter does it.
std::string title_words(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" \t\n\r\f\v-({[<"), text.size());
    const std::string_view word = text.substr(0, end);
    out += to_capitalized(word);
    const size_t next = std::min(text.find_first_not_of(" \t\n\r\f\v-({[<", end), text.size());
    out += text.substr(end, next - end);
    text.remove_prefix(next);
  }
  return out;
}

Result<Value> trim(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"chars"}));
  HEARTH_TRY(const std::string text, to_text(context, self));
  HEARTH_TRY(const std::string chars, bound.string_or(context, 0, ""));
  HEARTH_RETURN_IF_ERROR(
      context.spend_steps(static_cast<int64_t>(text.size() / 64 * (1 + chars.size()))));
  const bool given_chars = bound.has(0) && !is_none(bound.value(0));
  return text_like(context, self,
                   std::string(strip(text, given_chars ? &chars : nullptr, Side::kBoth)));
}

Result<Value> safe(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  HEARTH_TRY(std::string text, to_text(context, self));
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(text.size())));
  return make_markup(std::move(text));
}

template <bool kForce>
Result<Value> escape(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  if (!kForce && is_markup(self)) return self;
  HEARTH_TRY(const std::string text, to_text(context, self));
  std::string escaped = escape_html(text);
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(escaped.size())));
  return make_markup(std::move(escaped));
}

Result<Value> string(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  if (get_string(self) != nullptr) return self;
  HEARTH_TRY(std::string text, to_text(context, self));
  return context.string(std::move(text));
}

// Python's str() of `self` as the receiver of a method.
template <const char* kName>
Result<Value> as_method(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(Value text, string(context, self, {}));
  return find_string_method(kName)(context, text, given);
}
constexpr char kReplace[] = "replace";

Result<Value> center(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"width"}));
  HEARTH_TRY(const Value text, string(context, self, {}));
  const Given width{.positional = {bound.value_or(0, int64_t{80})}};
  return find_string_method("center")(context, text, width);
}

Result<Value> format(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const std::string text, to_text(context, self));
  if (!given.positional.empty() && !given.named.empty()) {
    return context.error("can't handle positional and keyword arguments at the same time");
  }
  HEARTH_TRY(Value arguments, context.list(given.positional, ListKind::kTuple));
  if (!given.named.empty()) {
    HEARTH_TRY(Dict * dict, context.dict());
    for (const auto& [name, value] : given.named) {
      HEARTH_TRY(const Value key, context.string(std::string(name)));
      HEARTH_RETURN_IF_ERROR(context.set(*dict, key, value));
    }
    arguments = dict;
  }
  HEARTH_TRY(std::string formatted, format_percent(context, text, arguments));
  return text_like(context, self, std::move(formatted));
}

// How many runs of letters, digits and underscores there are.
Result<Value> wordcount(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  HEARTH_TRY(const std::string text, to_text(context, self));
  int64_t count = 0;
  bool in_word = false;
  for (std::string_view rest = text; !rest.empty();) {
    const Utf8Step step = read_utf8(rest);
    const bool word =
        step.character == '_' || is_alphabetic(step.character) || is_digit(step.character);
    if (word && !in_word) ++count;
    in_word = word;
    rest.remove_prefix(step.length);
  }
  return Value(count);
}

Result<Value> truncate(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound,
             Bound::bind(context, given, {"length", "killwords", "end", "leeway"}));
  HEARTH_TRY(const int64_t limit, bound.integer_or(context, 0, 255));
  HEARTH_TRY(const std::string end, bound.string_or(context, 2, "..."));
  HEARTH_TRY(const int64_t leeway, bound.integer_or(context, 3, 5));
  HEARTH_TRY(const std::string text, to_text(context, self));
  const auto kept = limit - static_cast<int64_t>(length_of(end));
  if (kept < 0) return context.error("expected length >= the length of end");
  if (leeway < 0) return context.error("expected leeway >= 0");
  if (static_cast<int64_t>(length_of(text)) - leeway <= limit) return self;
  std::string_view cut = first_characters(text, static_cast<size_t>(kept));
  if (!bound.truth_or(1, false)) cut = cut.substr(0, cut.rfind(' '));
  return context.string(std::string(cut) + end);
}

Result<Value> indent(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"width", "first", "blank"}));
  std::string margin(4, ' ');
  if (bound.has(0) && get_string(bound.value(0)) != nullptr) {
    margin = *get_string(bound.value(0));
  } else {
    HEARTH_TRY(const int64_t width, bound.integer_or(context, 0, 4));
    margin.assign(static_cast<size_t>(std::clamp<int64_t>(width, 0, 1024)), ' ');
  }
  HEARTH_TRY(const std::string text, to_text(context, self));
  const bool first = bound.truth_or(1, false);
  const bool blank = bound.truth_or(2, false);
  // A line end more, so that an empty last line is a line, too.
  const std::vector<std::string> lines = split_lines(text + "\n", /*keep_ends=*/false);
  HEARTH_RETURN_IF_ERROR(
      context.spend_bytes(static_cast<int64_t>(text.size() + lines.size() * 32)));
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(lines.size() * margin.size())));
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i == 0 ? first : blank || !lines[i].empty()) out += margin;
    out += lines[i];
  }
  return text_like(context, self, std::move(out));
}

Result<Value> tojson(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound,
             Bound::bind(context, given, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style{.ensure_ascii = bound.truth_or(0, false), .sort_keys = bound.truth_or(3, false)};
  if (bound.has(1) && !is_none(bound.value(1))) {
    style.item_separator = ",";
    if (get_string(bound.value(1)) != nullptr) {
      style.indent = *get_string(bound.value(1));
    } else {
      HEARTH_TRY(const int64_t width, bound.integer_or(context, 1, 0));
      style.indent = std::string(static_cast<size_t>(std::clamp<int64_t>(width, 0, 1024)), ' ');
    }
  }
  if (bound.has(2) && !is_none(bound.value(2))) {
    const List* pair = get_list(bound.value(2));
    if (pair == nullptr || pair->items.size() != 2 || get_string(pair->items[0]) == nullptr ||
        get_string(pair->items[1]) == nullptr) {
      return context.error("separators must be a pair of strings");
    }
    style.item_separator = *get_string(pair->items[0]);
    style.key_separator = *get_string(pair->items[1]);
  }
  HEARTH_TRY(std::string text, to_json(context, self, style));
  return context.string(std::move(text));
}

// Python's int(text, base): sign, digits, single underscores, spaces around.
std::optional<int64_t> parse_integer(std::string_view text, int base) {
  std::string digits(strip(text, nullptr, Side::kBoth));
  std::erase(digits, '_');
  const size_t sign = digits.starts_with('+') || digits.starts_with('-') ? 1 : 0;
  if (digits.size() == sign) return std::nullopt;
  const char kind = digits.size() > sign + 2 ? static_cast<char>(digits[sign + 1] | 0x20) : ' ';
  const int named = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
  if (digits[sign] == '0' && named == base) digits.erase(sign, 2);
  int64_t number = 0;
  const char* begin = digits.data() + (digits[0] == '+' ? 1 : 0);
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(begin, end, number, base);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

// Python's float(text).
std::optional<double> parse_float(std::string_view text) {
  std::string digits(strip(text, nullptr, Side::kBoth));
  if (digits.empty() || digits.find_first_of("xX()") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double number = std::strtod(digits.c_str(), &end);
  if (end != digits.c_str() + digits.size()) return std::nullopt;
  return number;
}

std::optional<int64_t> whole_part(double number) {
  if (!(number > -9.2e18 && number < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(number);
}

Result<Value> integer(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"default", "base"}));
  HEARTH_TRY(const int64_t base, bound.integer_or(context, 1, 10));
  if (base < 2 || base > 36) return context.error("the base must be 2 to 36");
  if (is_undefined(self)) return context.undefined(self);
  std::optional<int64_t> number = as_integer(self);
  if (const double* real = get<double>(self)) number = whole_part(*real);
  if (const std::string* text = get_string(self)) {
    number = parse_integer(*text, static_cast<int>(base));
    if (const auto real = parse_float(*text); !number.has_value() && real.has_value()) {
      number = whole_part(*real);
    }
  }
  if (number.has_value()) return Value(*number);
  return bound.value_or(0, int64_t{0});
}

Result<Value> real(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"default"}));
  if (is_undefined(self)) return context.undefined(self);
  std::optional<double> number = as_number(self);
  if (const std::string* text = get_string(self)) number = parse_float(*text);
  if (number.has_value()) return Value(*number);
  return bound.value_or(0, 0.0);
}

Result<Value> absolute(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  if (is_undefined(self)) return context.undefined(self);
  if (const std::optional<int64_t> number = as_integer(self)) {
    int64_t result = *number;
    if (result < 0 && __builtin_sub_overflow(int64_t{0}, result, &result)) {
      return context.error("the result does not fit 64 bits");
    }
    return Value(result);
  }
  if (const double* number = get<double>(self)) return Value(std::fabs(*number));
  return context.error("bad operand type for abs(): '" + std::string(type_name(self)) + "'");
}

Result<Value> round(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"precision", "method"}));
  HEARTH_TRY(const int64_t precision, bound.integer_or(context, 0, 0));
  HEARTH_TRY(const std::string method, bound.string_or(context, 1, "common"));
  if (is_undefined(self)) return context.undefined(self);
  const std::optional<double> number = as_number(self);
  if (!number.has_value()) return context.error("only numbers can be rounded");
  if (precision < -300 || precision > 300) return context.error("the precision is out of range");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value(std::ceil(*number * scale) / scale);
  if (method == "floor") return Value(std::floor(*number * scale) / scale);
  if (method != "common") return context.error("method must be common, ceil or floor");
  if (const std::optional<int64_t> whole = as_integer(self); whole.has_value() && precision >= 0) {
    return Value(*whole);
  }
  if (precision < 0) {
    const double rounded = std::nearbyint(*number * scale) / scale;
    if (get<double>(self) == nullptr) return Value(static_cast<int64_t>(rounded));
    return Value(rounded);
  }
  // The decimal that is nearest to the number's exact value, as Python rounds.
  char digits[700];
  const auto end = std::to_chars(digits, digits + sizeof(digits), *number, std::chars_format::fixed,
                                 static_cast<int>(precision));
  return Value(std::strtod(std::string(digits, end.ptr).c_str(), nullptr));
}

}  // namespace

Native find_text_filter(std::string_view name) {
  static constexpr std::array<Table, 21> kTable = {{
      {"abs", absolute},
      {"capitalize", mapped<to_capitalized>},
      {"center", center},
      {"e", escape<false>},
      {"escape", escape<false>},
      {"float", real},
      {"forceescape", escape<true>},
      {"format", format},
      {"indent", indent},
      {"int", integer},
      {"lower", mapped<to_lower>},
      {"replace", as_method<kReplace>},
      {"round", round},
      {"safe", safe},
      {"string", string},
      {"title", mapped<title_words>},
      {"tojson", tojson},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", mapped<to_upper>},
      {"wordcount", wordcount},
  }};
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [name](const Table& entry) { return entry.first == name; });
  return found == kTable.end() ? nullptr : found->second;
}

}  // namespace hearth::chat::jinja
