#include "engine/tokenizer/normalizer.h"

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

constexpr size_t kGrowthMax = 32;
constexpr size_t kGrowthFree = 4096;  // bytes that any text may grow by

bool is_removed_by_nmt(char32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f ||
         c == 0x8f || c == 0x9f;
}

bool is_space_to_nmt(char32_t c) {
  return c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
         (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff ||
         c == 0xfffd;
}

// One step on one text, which may become `bytes_max` long.
class Apply {
 public:
  Apply(std::string_view text, size_t bytes_max) : text_(text), bytes_max_(bytes_max) {}

  std::string operator()(NormalForm form) const { return to_normal_form(form, text_); }

  std::string operator()(const normalizing::Lowercase&) const {
    return by_character([](char32_t c, std::string& out) { append_lowercase(c, out); });
  }

  std::string operator()(const normalizing::StripMarks&) const {
    return by_character([](char32_t c, std::string& out) {
      if (!is_mark(c)) append_utf8(c, out);
    });
  }

  std::string operator()(const normalizing::Nmt&) const {
    return by_character([](char32_t c, std::string& out) {
      if (is_space_to_nmt(c)) {
        out.push_back(' ');
      } else if (!is_removed_by_nmt(c)) {
        append_utf8(c, out);
      }
    });
  }

  std::string operator()(const normalizing::StripSpace& strip) const {
    std::string_view rest = text_;
    if (strip.left) rest.remove_prefix(leading_space_bytes(rest));
    if (strip.right) rest.remove_suffix(trailing_space_bytes(rest));
    return std::string(rest);
  }

  std::string operator()(const normalizing::Prepend& prepend) const {
    std::string out = text_.empty() ? "" : prepend.text;
    return out.append(text_);
  }

  std::string operator()(const normalizing::ReplaceText& replace) const {
    return replaced(replace.to, [&](size_t from) -> std::optional<TextRange> {
      const size_t at = text_.find(replace.from, from);
      if (at == std::string_view::npos) return std::nullopt;
      return TextRange{at, at + replace.from.size()};
    });
  }

  std::string operator()(const normalizing::ReplacePattern& replace) const {
    return replaced(replace.to, [&](size_t from) { return replace.from.find(text_, from); });
  }

  std::string operator()(const normalizing::Precompiled& precompiled) const {
    return precompiled.map->normalize(text_);
  }

 private:
  template <class Put>
  std::string by_character(const Put& put) const {
    std::string out;
    out.reserve(text_.size());
    for (size_t at = 0; at < text_.size();) put(next_character(text_, at), out);
    return out;
  }

  // An empty match right behind a match does not count.
  template <class Find>
  std::string replaced(std::string_view to, const Find& find) const {
    std::string out;
    out.reserve(text_.size());
    size_t copied = 0;
    size_t from = 0;
    std::optional<size_t> last_end;
    while (from <= text_.size() && out.size() <= bytes_max_) {
      const std::optional<TextRange> match = find(from);
      if (!match) break;
      from = match->end;
      if (match->begin == match->end) {
        from += from < text_.size() ? character_bytes(text_.substr(from)) : 1;
        if (last_end == match->end) continue;
      }
      out.append(text_.substr(copied, match->begin - copied)).append(to);
      copied = match->end;
      last_end = match->end;
    }
    return out.append(text_.substr(copied));
  }

  std::string_view text_;
  size_t bytes_max_;
};

}  // namespace

std::string Normalizer::normalize(std::string_view text) const {
  const size_t bytes_max = kGrowthMax * text.size() + kGrowthFree;
  std::string result(text);
  for (const NormalizerStep& step : steps_) {
    if (result.size() > bytes_max) break;
    result = std::visit(Apply(result, bytes_max), step);
  }
  return result;
}

}  // namespace hearth::engine
