// Methods of strings: https://docs.python.org/3/library/stdtypes.html#string-methods.

#include <algorithm>
#include <array>
#include <limits>

#include "chat/jinja/access.h"
#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/compare.h"
#include "chat/jinja/format.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"
#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

using Table = std::pair<std::string_view, Native>;

Result<Value> list_of(Context& context, const std::vector<std::string>& pieces,
                      ListKind kind = ListKind::kList) {
  std::vector<Value> items;
  for (const std::string& piece : pieces) {
    HEARTH_TRY(Value item, context.string(piece));
    items.push_back(std::move(item));
  }
  return context.list(std::move(items), kind);
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
  const std::string& text = *get_string(self);
  HEARTH_RETURN_IF_ERROR(context.spend_bytes(static_cast<int64_t>(text.size())));
  return list_of(context, split_lines(text, bound.truth_or(0, false)));
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
                   ListKind::kTuple);
  }
  return kFromRight ? list_of(context, {"", "", text}, ListKind::kTuple)
                    : list_of(context, {text, "", ""}, ListKind::kTuple);
}

// The part of a text between the characters `start` and `end`, as find() and its like take them.
struct Window {
  std::string_view text;
  int64_t before = 0;     // characters of the whole text in front of it
  bool reachable = true;  // false: it would begin behind the text's end, where nothing is found
};

// `first` is the place of the argument `start`, behind which `end` comes.
Result<Window> window_of(Context& context, const std::string& text, const Bound& bound,
                         size_t first) {
  const auto given = [&](size_t i) { return bound.has(i) && !is_none(bound.value(i)); };
  if (!given(first) && !given(first + 1)) return Window{.text = text};
  const auto count = static_cast<int64_t>(length_of(text));
  int64_t limits[] = {0, count};
  for (size_t i = 0; i < 2; ++i) {
    if (!given(first + i)) continue;
    HEARTH_TRY(const int64_t limit, bound.integer_or(context, first + i, 0));
    limits[i] = limit < 0 ? std::max<int64_t>(limit + count, 0) : limit;
  }
  const auto [start, end] = limits;
  Window window{.before = start, .reachable = start <= std::min(end, count)};
  if (!window.reachable) return window;
  const size_t skipped = first_characters(text, static_cast<size_t>(start)).size();
  window.text =
      first_characters(std::string_view(text).substr(skipped), static_cast<size_t>(end - start));
  return window;
}

template <bool kEnd>
Result<Value> begins_or_ends(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"affix", "start", "end"}, 1));
  HEARTH_TRY(const Window window, window_of(context, *get_string(self), bound, 1));
  const std::string_view text = window.text;
  std::vector<Value> candidates = {bound.value(0)};
  if (const List* list = get_list(bound.value(0)); list != nullptr && list->is_tuple()) {
    HEARTH_TRY(candidates, items(context, bound.value(0)));
  }
  for (const Value& candidate : candidates) {
    const std::string* affix = get_string(candidate);
    if (affix == nullptr) return context.error("expected a string or a tuple of strings");
    HEARTH_RETURN_IF_ERROR(context.spend_steps(1 + static_cast<int64_t>(affix->size() / 64)));
    const bool has = kEnd ? text.ends_with(*affix) : text.starts_with(*affix);
    if (has && window.reachable) return Value(true);
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
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"sub", "start", "end"}, 1));
  HEARTH_TRY(const std::string part, bound.string_or(context, 0, ""));
  HEARTH_TRY(const Window window, window_of(context, *get_string(self), bound, 1));
  const std::string_view text = window.text;
  HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text.size(), part.size())));
  const size_t at = kFromRight ? text.rfind(part) : text.find(part);
  const bool found = at != std::string_view::npos && window.reachable;
  if (!found && kMustExist) return context.error("substring not found");
  if (!found) return Value(int64_t{-1});
  return Value(window.before + static_cast<int64_t>(length_of(text.substr(0, at))));
}

Result<Value> count(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(const Bound bound, Bound::bind(context, given, {"sub", "start", "end"}, 1));
  HEARTH_TRY(const std::string part, bound.string_or(context, 0, ""));
  HEARTH_TRY(const Window window, window_of(context, *get_string(self), bound, 1));
  const std::string_view text = window.text;
  if (!window.reachable) return Value(int64_t{0});
  if (part.empty()) return Value(static_cast<int64_t>(length_of(text)) + 1);
  HEARTH_RETURN_IF_ERROR(context.spend_steps(search_steps(text.size(), part.size())));
  int64_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) {
    ++found;
  }
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

Result<Value> is_ascii(Context& context, const Value& self, const Given& given) {
  HEARTH_RETURN_IF_ERROR(Bound::bind(context, given, {}));
  const std::string& text = *get_string(self);
  return Value(std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; }));
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (const std::string_view piece : characters(text)) {
    out += is_upper(read_utf8(piece).character) ? to_lower(piece) : to_upper(piece);
  }
  return out;
}

template <const char* kTest>
Result<Value> tested(Context& context, const Value& self, const Given& given) {
  return find_test(kTest)(context, self, given);
}
constexpr char kUpper[] = "upper";
constexpr char kLower[] = "lower";

enum class Align { kLeft, kRight, kCenter, kZero };

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
  if (kAlign == Align::kCenter) {
    const int64_t left = missing / 2 + (missing & width & 1);
    const size_t cut = static_cast<size_t>(left) * fill.size();
    return context.string(margin.substr(0, cut) + text + margin.substr(cut));
  }
  const bool has_sign = text.starts_with('+') || text.starts_with('-');
  const size_t sign = kAlign == Align::kZero && has_sign ? 1 : 0;
  if (kAlign == Align::kLeft) return context.string(text + margin);
  return context.string(text.substr(0, sign) + margin + text.substr(sign));
}

Result<Value> format(Context& context, const Value& self, const Given& given) {
  HEARTH_TRY(std::string text, format_fields(context, *get_string(self), given));
  return context.string(std::move(text));
}

}  // namespace

Native find_string_method(std::string_view name) {
  static constexpr std::array<Table, 38> kTable = {{
      {"capitalize", mapped<to_capitalized>},
      {"casefold", mapped<to_lower>},
      {"center", padded<Align::kCenter>},
      {"count", count},
      {"endswith", begins_or_ends<true>},
      {"find", find<false, false>},
      {"format", format},
      {"index", find<false, true>},
      {"isalnum", every<is_cased_or_digit>},
      {"isalpha", every<is_alphabetic>},
      {"isascii", is_ascii},
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
      {"swapcase", mapped<swap_case>},
      {"title", mapped<to_title>},
      {"upper", mapped<to_upper>},
  }};
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [name](const Table& entry) { return entry.first == name; });
  if (found != kTable.end()) return found->second;
  return name == "zfill" ? Native(padded<Align::kZero>) : nullptr;
}

}  // namespace hearth::chat::jinja
