#include "chat/jinja/literal.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "chat/utf8.h"

namespace hearth::chat::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Digits of `base` at the beginning of `text`, at most `count` of them.
size_t digits_of(std::string_view text, int base, size_t count) {
  size_t length = 0;
  while (length < std::min(count, text.size())) {
    const char c = text[length];
    const int digit = is_digit(c)              ? c - '0'
                      : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                      : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                               : 99;
    if (digit >= base) break;
    ++length;
  }
  return length;
}

// The length of digits with single underscores between them, or 0.
size_t digit_group(std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    if (is_digit(text[length])) {
      ++length;
    } else if (text[length] == '_' && length > 0 && length + 1 < text.size() &&
               is_digit(text[length + 1])) {
      ++length;
    } else {
      break;
    }
  }
  return length;
}

// \x, \u, \U and octal escapes: appends the character, returns how many digits it took, or 0.
size_t numeric_escape(std::string& out, std::string_view digits, int base, size_t least,
                      size_t most) {
  const size_t length = digits_of(digits, base, most);
  uint32_t character = 0;
  std::from_chars(digits.data(), digits.data() + length, character, base);
  if (length < least || character > 0x10FFFF) return 0;
  append_utf8(out, character);
  return length;
}

std::string_view simple_escape(char c) {
  switch (c) {
    case '\n':
      return std::string_view("", 0);
    case '\\':
      return "\\";
    case '\'':
      return "'";
    case '"':
      return "\"";
    case 'a':
      return "\a";
    case 'b':
      return "\b";
    case 'f':
      return "\f";
    case 'n':
      return "\n";
    case 'r':
      return "\r";
    case 't':
      return "\t";
    case 'v':
      return "\v";
    default:
      return std::string_view();
  }
}

}  // namespace

Result<std::string> unescape(std::string_view inside) {
  std::string out;
  out.reserve(inside.size());
  for (size_t i = 0; i < inside.size(); ++i) {
    if (inside[i] != '\\' || i + 1 == inside.size()) {
      out.push_back(inside[i]);
      continue;
    }
    const char kind = inside[++i];
    if (const std::string_view text = simple_escape(kind); text.data() != nullptr) {
      out += text;
    } else if (kind >= '0' && kind <= '7') {
      i += numeric_escape(out, inside.substr(i), 8, 1, 3) - 1;
    } else if (kind == 'x' || kind == 'u' || kind == 'U') {
      const size_t count = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
      const size_t taken = numeric_escape(out, inside.substr(i + 1), 16, count, count);
      if (taken == 0) {
        return Error(Code::kInvalidArgument, std::string("malformed escape \\") + kind);
      }
      i += taken;
    } else if (kind == 'N') {
      return Error(Code::kUnsupported, "the escape \\N{...} is not supported");
    } else {
      out.push_back('\\');
      out.push_back(kind);
    }
  }
  return out;
}

size_t number_length(std::string_view text) {
  if (text.size() > 2 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    const size_t digits = base == 0 ? 0 : digits_of(text.substr(2), base, text.size());
    if (digits > 0) return 2 + digits;
  }
  size_t length = digit_group(text);
  if (length < text.size() && text[length] == '.') {
    const size_t fraction = digit_group(text.substr(length + 1));
    if (fraction > 0) length += 1 + fraction;
  }
  if (length < text.size() && (text[length] | 0x20) == 'e') {
    size_t exponent = length + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    const size_t digits = digit_group(text.substr(exponent));
    if (digits > 0) length = exponent + digits;
  }
  return length;
}

Result<Token> parse_number(std::string_view text) {
  std::string digits(text);
  std::erase(digits, '_');
  Token token;
  const char kind = digits.size() > 2 ? static_cast<char>(digits[1] | 0x20) : ' ';
  const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
  if (base == 10 && digits.find_first_of(".eE") != std::string::npos) {
    token.kind = TokenKind::kFloat;
    token.number = std::strtod(digits.c_str(), nullptr);
    return token;
  }
  token.kind = TokenKind::kInteger;
  const char* begin = digits.data() + (base == 10 ? 0 : 2);
  const auto parsed = std::from_chars(begin, digits.data() + digits.size(), token.integer, base);
  if (parsed.ec != std::errc()) {
    return Error(Code::kInvalidArgument, "the number " + digits + " does not fit 64 bits");
  }
  return token;
}

}  // namespace hearth::chat::jinja
