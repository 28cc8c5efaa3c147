#include "engine/tokenizer/decoder.h"

#include "engine/tokenizer/byte_level.h"

namespace hearth::engine {
namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// One step on one token.
class Apply {
 public:
  Apply(const std::string& token, bool first) : token_(token), first_(first) {}

  std::string operator()(const decoding::ByteLevel&) const {
    // A token that is not wholly in the alphabet stays as it is written.
    return bytes_of_token(token_).value_or(token_);
  }
  std::string operator()(const decoding::ByteFallback&) const {
    const int byte = byte_of_token(token_);
    return byte < 0 ? token_ : std::string(1, static_cast<char>(byte));
  }
  std::string operator()(const decoding::Replace& replace) const {
    return replace_all(token_, replace.from, replace.to);
  }
  std::string operator()(const decoding::Strip& strip) const {
    std::string_view rest = token_;
    for (int64_t i = 0; i < strip.start && rest.starts_with(strip.character); ++i) {
      rest.remove_prefix(strip.character.size());
    }
    for (int64_t i = 0; i < strip.stop && rest.ends_with(strip.character); ++i) {
      rest.remove_suffix(strip.character.size());
    }
    return std::string(rest);
  }
  std::string operator()(const decoding::Metaspace& metaspace) const {
    return replace_all(token_, metaspace.mark, first_ && metaspace.drops_first ? "" : " ");
  }
  std::string operator()(const decoding::Spaces&) const { return first_ ? token_ : " " + token_; }
  std::string operator()(const decoding::StripStart& strip) const {
    const bool strips = first_ && token_.starts_with(strip.character);
    return strips ? token_.substr(strip.character.size()) : token_;
  }

 private:
  const std::string& token_;
  bool first_;
};

}  // namespace

std::string Decoder::bytes(std::string_view token, bool first) const {
  std::string result(token);
  for (const DecoderStep& step : steps_) result = std::visit(Apply(result, first), step);
  return result;
}

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return -1;
  const int high = digit_of(token[3]);
  const int low = digit_of(token[4]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t copied = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, copied)) {
    out.append(text.substr(copied, at - copied)).append(to);
    copied = at + from.size();
  }
  return out.append(text.substr(copied));
}

}  // namespace hearth::engine
