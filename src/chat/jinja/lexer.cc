#include "chat/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "chat/jinja/literal.h"

namespace hearth::chat::jinja {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_begin(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

// One kind of newline, and none at the end: what Jinja does before it looks at a template.
std::string normalize(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text.push_back(source[i]);
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize(source)) {}

  Result<std::vector<Token>> run() {
    while (position_ < source_.size()) HEARTH_RETURN_IF_ERROR(segment());
    add(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(position_); }
  bool at(std::string_view text) const { return rest().starts_with(text); }
  Error error(std::string_view what) const {
    return Error(Code::kInvalidArgument,
                 "line " + std::to_string(line_) + ": " + std::string(what));
  }

  void advance(size_t bytes) {
    const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(position_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(bytes), '\n'));
    position_ += bytes;
  }
  void skip_space() {
    size_t length = 0;
    while (length < rest().size() && is_space(rest()[length])) ++length;
    advance(length);
  }
  Token& add(TokenKind kind, std::string text = "") {
    tokens_.push_back({.kind = kind, .line = line_, .text = std::move(text)});
    return tokens_.back();
  }

  // Text up to the next tag, and that tag.
  Result<void> segment() {
    size_t tag = position_;
    while ((tag = source_.find('{', tag)) != std::string::npos) {
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : ' ';
      if (next == '%' || next == '{' || next == '#') break;
      ++tag;
    }
    if (tag == std::string::npos) {
      add_text(rest());
      position_ = source_.size();
      return {};
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    const bool signed_tag = sign == '-' || sign == '+';
    add_text(trim_before(rest().substr(0, tag - position_), kind, sign));
    advance(tag - position_ + (signed_tag ? 3 : 2));
    if (kind == '#') return comment();
    if (kind == '{') return expression_tag(TokenKind::kVariableBegin, "}}");
    if (const std::optional<size_t> raw = raw_begin()) return raw_block(*raw);
    return expression_tag(TokenKind::kBlockBegin, "%}");
  }

  void add_text(std::string_view text) {
    if (!text.empty()) add(TokenKind::kText, std::string(text));
  }

  // {%- removes all whitespace before it; {% and {# remove what stands before them on their line,
  // if that is only whitespace; {%+ removes none.
  std::string_view trim_before(std::string_view text, char kind, char sign) const {
    if (sign == '-') {
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
      return text;
    }
    if (sign == '+' || kind == '{') return text;
    const size_t newline = text.rfind('\n');
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if (begin == 0 && !line_starting_) return text;
    return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), is_space)
               ? text.substr(0, begin)
               : text;
  }

  // The end of a tag is here: "-%}" takes whitespace after it, "%}" one newline, "+%}" and "}}"
  // nothing.
  std::optional<size_t> tag_end(std::string_view end) const {
    const std::string_view here = rest();
    const bool minus = here.starts_with('-');
    const bool plus = here.starts_with('+') && end != "}}";
    if (!here.substr(minus || plus ? 1 : 0).starts_with(end)) return std::nullopt;
    size_t length = end.size() + (minus || plus ? 1 : 0);
    if (minus) {
      while (length < here.size() && is_space(here[length])) ++length;
    } else if (!plus && end != "}}" && here.substr(length).starts_with('\n')) {
      ++length;
    }
    return length;
  }
  void finish_tag(size_t length) {
    advance(length);
    line_starting_ = length > 0 && source_[position_ - 1] == '\n';
  }

  Result<void> comment() {
    const Error unclosed = error("this comment is never closed with #}");
    const size_t close = source_.find("#}", position_);
    if (close == std::string::npos) return unclosed;
    const bool sign = close > position_ && (source_[close - 1] == '-' || source_[close - 1] == '+');
    advance(close - position_ - (sign ? 1 : 0));
    finish_tag(*tag_end("#}"));
    return {};
  }

  // "raw %}" is here: how long it is.
  std::optional<size_t> raw_begin() const {
    const std::string_view here = rest();
    size_t i = 0;
    const auto spaces = [&] {
      while (i < here.size() && is_space(here[i])) ++i;
    };
    spaces();
    if (!here.substr(i).starts_with("raw")) return std::nullopt;
    i += 3;
    spaces();
    if (here.substr(i).starts_with("%}")) return i + 2;
    if (!here.substr(i).starts_with("-%}")) return std::nullopt;
    i += 3;
    spaces();
    return i;
  }

  Result<void> raw_block(size_t begin_length) {
    const Error unclosed = error("this raw block is never closed with {% endraw %}");
    finish_tag(begin_length);
    for (size_t tag = position_; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
      const std::string_view text = rest().substr(0, tag - position_);
      size_t i = tag + 2;
      const char sign = i < source_.size() ? source_[i] : ' ';
      if (sign == '-' || sign == '+') ++i;
      while (i < source_.size() && is_space(source_[i])) ++i;
      if (std::string_view(source_).substr(i, 6) != "endraw") continue;
      i += 6;
      while (i < source_.size() && is_space(source_[i])) ++i;
      const size_t text_begin = position_;
      position_ = i;
      const std::optional<size_t> end = tag_end("%}");
      position_ = text_begin;
      if (!end.has_value()) continue;
      add_text(trim_before(text, '%', sign));
      advance(i - position_);
      finish_tag(*end);
      return {};
    }
    return unclosed;
  }

  Result<void> expression_tag(TokenKind begin, std::string_view end) {
    const Error unclosed = error("this tag is never closed with " + std::string(end));
    add(begin);
    std::string brackets;  // closing ones that are awaited: inside them }} ends no tag
    while (true) {
      skip_space();
      if (rest().empty()) return unclosed;
      if (brackets.empty()) {
        if (const std::optional<size_t> length = tag_end(end)) {
          add(begin == TokenKind::kBlockBegin ? TokenKind::kBlockEnd : TokenKind::kVariableEnd);
          finish_tag(*length);
          return {};
        }
      }
      HEARTH_RETURN_IF_ERROR(word(brackets));
    }
  }

  Result<void> word(std::string& brackets) {
    const char c = rest().front();
    if (is_name_begin(c)) {
      size_t length = 1;
      while (length < rest().size() &&
             (is_name_begin(rest()[length]) || is_digit(rest()[length]))) {
        ++length;
      }
      add(TokenKind::kName, std::string(rest().substr(0, length)));
      advance(length);
      return {};
    }
    if (is_digit(c)) return number();
    if (c == '\'' || c == '"') return string(c);
    return op(brackets);
  }

  Result<void> number() {
    size_t length = number_length(rest());
    // In `items.0.1` the digits are two subscripts.
    const bool after_dot = !tokens_.empty() && tokens_.back().kind == TokenKind::kOperator &&
                           tokens_.back().text == ".";
    if (after_dot) length = std::min(length, rest().find_first_not_of("0123456789"));
    const Result<Token> parsed = parse_number(rest().substr(0, length));
    if (!parsed.ok()) return error(parsed.error().message());
    Token& token = add(parsed->kind);
    token.integer = parsed->integer;
    token.number = parsed->number;
    advance(length);
    return {};
  }

  Result<void> string(char quote) {
    const Error unclosed = error("this string is never closed");
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return unclosed;
    const Result<std::string> text =
        unescape(std::string_view(source_).substr(position_ + 1, end - position_ - 1));
    if (!text.ok()) return text.error().context("line " + std::to_string(line_));
    add(TokenKind::kString, *text);
    advance(end + 1 - position_);
    return {};
  }

  Result<void> op(std::string& brackets) {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
        ">",  "=",  "(",  ")",  "[",  "]",  "{", "}", ".", ":", ",", "|", ";"};
    for (const std::string_view text : kOperators) {
      if (!at(text)) continue;
      if (text == "(" || text == "[" || text == "{") {
        brackets.push_back(text == "(" ? ')' : text == "[" ? ']' : '}');
      } else if (text == ")" || text == "]" || text == "}") {
        if (brackets.empty() || brackets.back() != text[0]) {
          return error("unexpected '" + std::string(text) + "'");
        }
        brackets.pop_back();
      }
      add(TokenKind::kOperator, std::string(text));
      advance(text.size());
      return {};
    }
    return error(std::string("unexpected character '") + rest().front() + "'");
  }

  const std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag's end took a newline with it, or there was none yet
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace hearth::chat::jinja
