// Cuts text into the words that BPE works on, as the pre_tokenizer of tokenizer.json says.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/pattern.h"

namespace hearth::engine {

// What becomes of the matches of a pattern and the text between them.
enum class SplitBehavior {
  kIsolated,            // each is a piece
  kRemoved,             // only the text between matches is kept
  kContiguous,          // adjacent matches are one piece
  kMergedWithPrevious,  // a match ends the piece before it
  kMergedWithNext,      // a match begins the piece after it
};

struct PreTokenizerStep {
  bool add_prefix_space = false;   // a piece that does not begin with a space gets one
  std::optional<Pattern> pattern;  // nothing: pieces stay whole
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // matches and the text between them change places
};

// Immutable, thread-safe.
class PreTokenizer {
 public:
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps = {}) : steps_(std::move(steps)) {}

  // The words of `text`, in order, none empty. They point into `text` or into `storage`.
  // REQUIRES: valid UTF-8.
  std::vector<std::string_view> split(std::string_view text,
                                      std::deque<std::string>& storage) const;

 private:
  std::vector<PreTokenizerStep> steps_;
};

}  // namespace hearth::engine
