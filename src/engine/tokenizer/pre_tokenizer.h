// Cuts text into the words that the model works on, as the pre_tokenizer of tokenizer.json says.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
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

struct Split {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // matches and the text between them change places
};

// A piece that does not begin with a space gets one.
struct PrefixSpace {};

// Which pieces SentencePiece's mark for a space is put before, unless they begin with it.
enum class PrependScheme { kAlways, kFirst, kNever };  // kFirst: only where the text begins

// Spaces become the mark; then pieces are cut before each of them.
struct Metaspace {
  std::string mark;  // one character
  PrependScheme prepend = PrependScheme::kAlways;
  bool split = true;
};

using PreTokenizerStep = std::variant<Split, PrefixSpace, Metaspace>;

// Immutable, thread-safe.
class PreTokenizer {
 public:
  using Visit = std::function<void(std::string_view)>;

  explicit PreTokenizer(std::vector<PreTokenizerStep> steps = {}) : steps_(std::move(steps)) {}

  // Calls `visit` with each word of `text`, in order, none empty; a word is valid during the call.
  // `first`: nothing stands before `text`. REQUIRES: valid UTF-8.
  void split(std::string_view text, bool first, const Visit& visit) const {
    run(0, text, first, visit);
  }

 private:
  void run(size_t step, std::string_view piece, bool first, const Visit& visit) const;
  void run_split(const Split& split, size_t step, std::string_view piece, bool first,
                 const Visit& visit) const;
  void run_metaspace(const Metaspace& metaspace, size_t step, std::string_view piece, bool first,
                     const Visit& visit) const;

  std::vector<PreTokenizerStep> steps_;
};

}  // namespace hearth::engine
