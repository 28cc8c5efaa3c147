// Text to token ids and back: byte-level BPE, SentencePiece's BPE and unigram models, from
// tokenizer.json (https://huggingface.co/docs/tokenizers) or from GGUF metadata (tokenizer.ggml.*).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::engine {

// Immutable and thread-safe once loaded.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // `path`: a .gguf file, a directory with tokenizer.json, or a tokenizer.json. kNotFound,
  // kUnsupported (a kind of tokenizer not known, named), kCorrupt (key and what was expected).
  static Result<std::unique_ptr<Tokenizer>> load(const std::string& path);

  // Token ids of `text` (UTF-8; invalid bytes are replaced with U+FFFD). Added tokens written in
  // the text
  // (<|im_start|>) become their ids. `add_special` lets the post-processor add BOS and the like.
  virtual std::vector<int32_t> encode(std::string_view text, bool add_special) const = 0;

  // The raw bytes of one token: possibly not whole characters. Unknown ids give nothing. Special
  // tokens give nothing when `skip_special`.
  virtual std::string bytes(int32_t id, bool skip_special) const = 0;

  // The same for the token that a text begins with: decoders of SentencePiece models drop the space
  // before a text's first word.
  virtual std::string first_bytes(int32_t id, bool skip_special) const = 0;

  // first_bytes of the first token that is not skipped, then all others' bytes; invalid UTF-8 is
  // replaced by U+FFFD.
  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special) const = 0;

  // The id of an exact added token, as "<|im_end|>".
  virtual std::optional<int32_t> id_of(std::string_view token) const = 0;
  virtual bool is_special(int32_t id) const = 0;
  virtual int size() const = 0;               // ids are 0 .. size() - 1
  virtual std::string_view kind() const = 0;  // "BPE", "Unigram"
};

}  // namespace hearth::engine
