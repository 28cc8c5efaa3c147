// What turns one word into token ids: the model of a tokenizer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::engine {

// Immutable, thread-safe.
class WordEncoder {
 public:
  virtual ~WordEncoder() = default;

  // Appends the ids of `word`. REQUIRES: valid UTF-8 or, for byte-level models, any bytes.
  virtual void encode(std::string_view word, std::vector<int32_t>& ids) const = 0;

  // As tokenizer.json calls it: "BPE", "Unigram".
  virtual std::string_view kind() const = 0;
};

}  // namespace hearth::engine
