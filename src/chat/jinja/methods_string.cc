// Methods of strings: https://docs.python.org/3/library/stdtypes.html#string-methods.

#include <algorithm>
#include <array>
#include <limits>

#include "chat/jinja/access.h"
#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/compare.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"
#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

using Table = std::pair<std::string_view, Native>;

Result<Value> list_of(Context& context, const std::vector<std::string>& pieces,
                      bool tuple = false) {
  std::vector<Value> items;
  for (const std::string& piece : pieces) {
    HEARTH_TRY(Value item, context.string(piece));
    items.push_back(std::move(item));
  }
  return context.list(std::move(items), tuple);
}

template <std::string (*kMap)(std::string_view)>
Result<Value> mapped(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  return context.string(kMap(*get_string(self)));
}

template <Side kSide>
Result<Value> stripped(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"chars"}));
  HEARTH_TRY(const std::string chars, bound.string_or(context, 0, ""));
  const std::string& text = *get_string(self);
  HEARTH_RETURN_IF_ERROR(
      context.spend_steps(static_cast<int64_t>(text.size() / 64 * (1 + chars.size()))));
  const bool given_chars = bound.has(0) && !is_none(bound.value(0));
  return context.string(std::string(strip(text, given_chars ? &chars : nullptr, kSide)));
}

// The first run of text without whitespace, from either end, and what is left of `text` behind it.
std::string_view take_word(std::string_view& text, bool from_right) {
  size_t begin = 0;  // of the word
  size_t end = 0;
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = read_utf8(text.substr(i));
    i += step.length;
    if (!is_space(step.character)) {
      end = i;
    } else if (from_right) {
      begin = end = i;
    } else {
      break;
    }
  }
  const std::string_view word = text.substr(begin, end - begin);
  text = from_right ? strip(text.substr(0, begin), nullptr, Side::kRight)
                    : strip(text.substr(end), nullptr, Side::kLeft);
  return word;
}

std::vector<std::string> split_space(std::string_view text, size_t splits, bool from_right) {
  std::vector<std::string> pieces;
  text = strip(text, nullptr, from_right ? Side::kRight : Side::kLeft);
  while (!text.empty() && pieces.size() < splits) pieces.emplace_back(take_word(text, from_right));
  if (!text.empty()) pieces.emplace_back(text);
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<std::string> split_at(std::string_view text, std::string_view separator, size_t splits,
                                  bool from_right) {
  std::vector<std::string> pieces;
  while (pieces.size() < splits) {
    const size_t cut = from_right ? text.rfind(separator) : text.find(separator);
    if (cut == std::string_view::npos) break;
    const size_t after = cut + separator.size();
    pieces.emplace_back(from_right ? text.substr(after) : text.substr(0, cut));
    text = from_right ? text.substr(0, cut) : text.substr(after);
  }
  pieces.emplace_back(text);
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

template <bool kFromRight>
Result<Value> split(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"sep", "maxsplit"}));
  HEARTH_TRY(const int64_t limit, bound.integer_or(context, 1, -1));
  HEARTH_TRY(const std::string separator, bound.string_or(context, 0, ""));
  const std::string& text = *get_string(self);
  // As many pieces as bytes, at worst.
  HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text.size(), separator.size())));
  const size_t splits = limit < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(limit);
  if (!bound.has(0) || is_none(bound.value(0))) {
    return list_of(context, split_space(text, splits, kFromRight));
  }
  if (separator.empty()) return context.error("empty separator");
  return list_of(context, split_at(text, separator, splits, kFromRight));
}

Result<Value> splitlines(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"keepends"}));
  const bool keep = bound.truth_or(0, false);
  std::vector<std::string> lines;
  std::string line;
  for (std::string_view rest = *get_string(self); !rest.empty();) {
    const Utf8Step step = read_utf8(rest);
    const char32_t c = step.character;
    size_t taken = step.length;
    if (c == '\r' && rest.substr(1).starts_with('\n')) ++taken;
    const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
    if (!ends || keep) line += rest.substr(0, taken);
    rest.remove_prefix(taken);
    if (ends) lines.push_back(std::exchange(line, ""));
  }
  if (!line.empty()) lines.push_back(line);
  return list_of(context, lines);
}

template <bool kFromRight>
Result<Value> partition(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"sep"}, 1));
  HEARTH_TRY(const std::string separator, bound.string_or(context, 0, ""));
  if (separator.empty()) return context.error("empty separator");
  const std::string& text = *get_string(self);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text.size(), separator.size())));
  const size_t cut = kFromRight ? text.rfind(separator) : text.find(separator);
  if (cut != std::string::npos) {
    return list_of(context, {text.substr(0, cut), separator, text.substr(cut + separator.size())},
                   true);
  }
  return kFromRight ? list_of(context, {"", "", text}, true)
                    : list_of(context, {text, "", ""}, true);
}

template <bool kEnd>
Result<Value> begins_or_ends(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"affix"}, 1));
  const std::string& text = *get_string(self);
  std::vector<Value> candidates = {bound.value(0)};
  if (const List* list = get_list(bound.value(0)); list != nullptr && list->tuple) {
    HEARTH_TRY(candidates, items(context, bound.value(0)));
  }
  for (const Value& candidate : candidates) {
    const std::string* affix = get_string(candidate);
    if (affix == nullptr) return context.error("expected a string or a tuple of strings");
    HEARTH_RETURN_IF_ERROR(context.spend_steps(1 + static_cast<int64_t>(affix->size() / 64)));
    if (kEnd ? text.ends_with(*affix) : text.starts_with(*affix)) return Value(true);
  }
  return Value(false);
}

template <bool kEnd>
Result<Value> remove_affix(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"affix"}, 1));
  HEARTH_TRY(const std::string affix, bound.string_or(context, 0, ""));
  const std::string& text = *get_string(self);
  if (kEnd ? !text.ends_with(affix) : !text.starts_with(affix)) return self;
  return context.string(text.substr(kEnd ? 0 : affix.size(), text.size() - affix.size()));
}

// `fresh` before each of the first `count` characters and at the end.
Result<Value> interleave(Context& context, std::string_view text, const std::string& fresh,
                         size_t count) {
  const size_t places = std::min(count, length_of(text) + 1);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(static_cast<int64_t>(places)));
  if (!fresh.empty() && places > static_cast<size_t>(context.bytes_left()) / fresh.size()) {
    return context.spend_bytes(std::numeric_limits<int64_t>::max()).error();
  }
  std::string out;
  for (size_t i = 0; i < places; ++i) {
    out += fresh;
    if (text.empty()) break;
    const size_t length = read_utf8(text).length;
    out += text.substr(0, length);
    text.remove_prefix(length);
  }
  out += text;
  return context.string(std::move(out));
}

Result<Value> replace(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"old", "new", "count"}, 2));
  HEARTH_TRY(const std::string old, to_text(context, bound.value(0)));
  HEARTH_TRY(const std::string fresh, to_text(context, bound.value(1)));
  int64_t limit = -1;
  if (bound.has(2) && !is_none(bound.value(2))) {
    HEARTH_TRY(limit, bound.integer_or(context, 2, -1));
  }
  size_t left = limit < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(limit);
  const std::string& text = *get_string(self);
  if (old.empty()) return interleave(context, text, fresh, left);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text.size(), old.size())));
  std::string out;
  size_t done = 0;
  for (; left > 0; --left) {
    const size_t at = text.find(old, done);
    if (at == std::string::npos) break;
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(fresh.size())));
    out.append(text, done, at - done);
    out += fresh;
    done = at + old.size();
  }
  out.append(text, done);
  return context.string(std::move(out));
}

Result<Value> joined(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"iterable"}, 1));
  HEARTH_TRY(const std::vector<Value> all, items(context, bound.value(0)));
  const std::string& separator = *get_string(self);
  std::string out;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string* piece = get_string(all[i]);
    if (piece == nullptr) {
      return context.error("sequence item " + std::to_string(i) + ": expected str instance, " +
                           std::string(type_name(all[i])) + " found");
    }
    HEARTH_RETURN_IF_ERROR(
        context.spend_bytes(static_cast<int64_t>(piece->size() + separator.size())));
    if (i > 0) out += separator;
    out += *piece;
  }
  return make_string(std::move(out));
}

// find, rfind, index, rindex: a position counted in characters.
template <bool kFromRight, bool kMustExist>
Result<Value> find(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"sub"}, 1));
  HEARTH_TRY(const std::string part, bound.string_or(context, 0, ""));
  const std::string& text = *get_string(self);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text.size(), part.size())));
  const size_t at = kFromRight ? text.rfind(part) : text.find(part);
  if (at == std::string::npos && kMustExist) return context.error("substring not found");
  if (at == std::string::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(length_of(std::string_view(text).substr(0, at))));
}

Result<Value> count(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"sub"}, 1));
  HEARTH_TRY(const std::string part, bound.string_or(context, 0, ""));
  const std::string& text = *get_string(self);
  if (part.empty()) return Value(static_cast<int64_t>(length_of(text)) + 1);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text.size(), part.size())));
  int64_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++found;
  return Value(found);
}

bool is_cased_or_digit(char32_t c) { return is_alphabetic(c) || is_digit(c); }

// True when there are characters and all have the property.
template <bool (*kProperty)(char32_t)>
Result<Value> every(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  std::string_view rest = *get_string(self);
  bool all = !rest.empty();
  while (all && !rest.empty()) {
    const Utf8Step step = read_utf8(rest);
    all = kProperty(step.character);
    rest.remove_prefix(step.length);
  }
  return Value(all);
}

template <const char* kTest>
Result<Value> tested(Context& context, const Value& self, const Given& given) {
  return find_test(kTest)(context, self, given);
}
constexpr char kUpper[] = "upper";
constexpr char kLower[] = "lower";

enum class Align { kLeft, kRight, kZero };

template <Align kAlign>
Result<Value> padded(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"width", "fillchar"}, 1));
  HEARTH_TRY(const int64_t width, bound.integer_or(context, 0, 0));
  HEARTH_TRY(const std::string fill,
             bound.string_or(context, 1, kAlign == Align::kZero ? "0" : " "));
  const std::string& text = *get_string(self);
  const int64_t missing = width - static_cast<int64_t>(length_of(text));
  if (length_of(fill) != 1) return context.error("the fill must be one character");
  if (missing <= 0) return self;
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(missing));
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(missing * 3));
  std::string margin;
  for (int64_t i = 0; i < missing; ++i) margin += fill;
  const bool has_sign = text.starts_with('+') || text.starts_with('-');
  const size_t sign = kAlign == Align::kZero && has_sign ? 1 : 0;
  if (kAlign == Align::kLeft) return context.string(text + margin);
  return context.string(text.substr(0, sign) + margin + text.substr(sign));
}

// "{} {0} {name}".format(...): replacement fields without format specifications.
Result<Value> format(Context& context, const Value& self, const Given& given) {
  const std::string& text = *get_string(self);
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
    if (text[i] == '}' || close == std::string::npos) return context.error("unbalanced braces");
    const std::string field = text.substr(i + 1, close - i - 1);
    i = close;
    const Value* value = nullptr;
    if (field.find_first_not_of("0123456789") == std::string::npos && field.size() < 6) {
      const size_t index = field.empty() ? next++ : static_cast<size_t>(std::stoi(field));
      if (index < given.positional.size()) value = &given.positional[index];
    } else if (field.find_first_of("!:.[{") != std::string::npos) {
      return context.error(Code::kUnsupported, "format specifications are not supported");
    }
    for (const auto& [name, named] : given.named) {
      if (name == field) value = &named;
    }
    if (value == nullptr) return context.error("format() has no argument '" + field + "'");
    HEARTH_TRY(const std::string piece, to_text(context, *value));
    HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(piece.size())));
    out += piece;
  }
  return context.string(std::move(out));
}

}  // namespace

Native find_string_method(std::string_view name) {
  static constexpr std::array<Table, 35> kTable = {{
      {"capitalize", mapped<to_capitalized>},
      {"casefold", mapped<to_lower>},
      {"count", count},
      {"endswith", begins_or_ends<true>},
      {"find", find<false, false>},
      {"format", format},
      {"index", find<false, true>},
      {"isalnum", every<is_cased_or_digit>},
      {"isalpha", every<is_alphabetic>},
      {"isdecimal", every<is_digit>},
      {"isdigit", every<is_digit>},
      {"islower", tested<kLower>},
      {"isnumeric", every<is_digit>},
      {"isspace", every<is_space>},
      {"isupper", tested<kUpper>},
      {"join", joined},
      {"ljust", padded<Align::kLeft>},
      {"lower", mapped<to_lower>},
      {"lstrip", stripped<Side::kLeft>},
      {"partition", partition<false>},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"replace", replace},
      {"rfind", find<true, false>},
      {"rindex", find<true, true>},
      {"rjust", padded<Align::kRight>},
      {"rpartition", partition<true>},
      {"rsplit", split<true>},
      {"rstrip", stripped<Side::kRight>},
      {"split", split<false>},
      {"splitlines", splitlines},
      {"startswith", begins_or_ends<false>},
      {"strip", stripped<Side::kBoth>},
      {"title", mapped<to_title>},
      {"upper", mapped<to_upper>},
  }};
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [name](const Table& entry) { return entry.first == name; });
  if (found != kTable.end()) return found->second;
  return name == "zfill" ? Native(padded<Align::kZero>) : nullptr;
}

}  // namespace hearth::chat::jinja
