// Tokens back to text: the decoder of tokenizer.json.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::engine {

namespace decoding {

struct ByteLevel {};     // a token written in the byte alphabet becomes its bytes
struct ByteFallback {};  // <0x61> becomes the byte 0x61
struct Replace {
  std::string from;  // not empty
  std::string to;
};
// `count` times at most, this character is taken from one end of each token.
struct Strip {
  std::string character;
  int64_t start = 0;
  int64_t stop = 0;
};
// SentencePiece's mark becomes a space, but nothing in the token that the text begins with.
struct Metaspace {
  std::string mark;
  bool drops_first = true;
};
// Tokens are joined by spaces, as where a file names no decoder.
struct Spaces {};
// One of this character, if the text begins with it, goes.
struct StripStart {
  std::string character;
};

}  // namespace decoding

using DecoderStep =
    std::variant<decoding::ByteLevel, decoding::ByteFallback, decoding::Replace, decoding::Strip,
                 decoding::Metaspace, decoding::Spaces, decoding::StripStart>;

// Decodes token by token, so that a text can be shown while it is written. Immutable, thread-safe.
class Decoder {
 public:
  explicit Decoder(std::vector<DecoderStep> steps = {}) : steps_(std::move(steps)) {}

  // The bytes of a token, possibly no whole characters. `first`: a text begins with it.
  std::string bytes(std::string_view token, bool first) const;

 private:
  std::vector<DecoderStep> steps_;
};

// The byte that a token of the form <0x61> stands for, else -1.
int byte_of_token(std::string_view token);

// Every occurrence of `from` replaced.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace hearth::engine
