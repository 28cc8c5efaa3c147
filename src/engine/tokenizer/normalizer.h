// What becomes of text before it is cut into words: the normalizer of tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/tokenizer/charsmap.h"
#include "engine/tokenizer/pattern.h"
#include "engine/tokenizer/unicode_forms.h"

namespace hearth::engine {

namespace normalizing {

struct Lowercase {};
struct StripMarks {};  // StripAccents: combining marks go
struct Nmt {};         // control characters go, odd white space becomes a space
struct StripSpace {    // white space at the ends goes
  bool left = true;
  bool right = true;
};
struct Prepend {  // to text that is not empty
  std::string text;
};
struct ReplaceText {
  std::string from;  // not empty
  std::string to;
};
struct ReplacePattern {
  Pattern from;
  std::string to;
};
struct Precompiled {
  std::shared_ptr<const Charsmap> map;
};

}  // namespace normalizing

using NormalizerStep =
    std::variant<NormalForm, normalizing::Lowercase, normalizing::StripMarks, normalizing::Nmt,
                 normalizing::StripSpace, normalizing::Prepend, normalizing::ReplaceText,
                 normalizing::ReplacePattern, normalizing::Precompiled>;

// Immutable, thread-safe.
class Normalizer {
 public:
  // Of what a step adds or puts in place of something else.
  static constexpr size_t kReplacementBytesMax = 64;
  static constexpr size_t kStepsMax = 64;

  // Applies `steps` in order; none leaves text as it is.
  explicit Normalizer(std::vector<NormalizerStep> steps = {}) : steps_(std::move(steps)) {}

  // REQUIRES: valid UTF-8. Time is O(n log n) for any text. Text that grows beyond 32 times its
  // size is left as it is then: only a chain of replacements made for it can do that.
  std::string normalize(std::string_view text) const;
  bool changes_nothing() const { return steps_.empty(); }

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace hearth::engine
