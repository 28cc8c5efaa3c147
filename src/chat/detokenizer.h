// Tokens to text while they arrive.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::engine {
class Tokenizer;
}

namespace hearth::chat {

// Turns a stream of token ids into text that is valid UTF-8 at every step: bytes of a character
// that is not complete yet are held back; bytes that can never complete become U+FFFD. Special
// tokens give no text. The concatenated output equals Tokenizer::decode(ids, skip_special = true).
// Not thread-safe.
class StreamDetokenizer {
 public:
  // `tokenizer` must outlive this.
  explicit StreamDetokenizer(const engine::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // Text that became certain with this token, often empty.
  std::string push(int32_t id);
  // What is still held back, at the end of the stream.
  std::string finish();

 private:
  const engine::Tokenizer& tokenizer_;
  bool begun_ = false;  // a token that gives text has been pushed
  std::string held_;    // the bytes of an incomplete character, < 4
};

}  // namespace hearth::chat
