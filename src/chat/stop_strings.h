// Stop strings, held back until they can no longer match.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::chat {

// Watches a stream of text for the stop string that is complete first (of those that end together,
// the longest), which does not depend on how the text is cut into pieces. Text that might be the
// beginning of a stop string is held back; the stop string and what follows are never emitted. Not
// thread-safe.
class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(const std::vector<std::string>& stops);

  // Text that may be shown now.
  std::string push(std::string_view text);
  // What is still held back at the end of the stream, when no stop string came.
  std::string finish();
  // True once a stop string was seen; push then returns nothing more.
  bool stopped() const { return stopped_; }

 private:
  // One stop string and how much of it the text ends with: an automaton of Knuth, Morris and Pratt,
  // "Fast pattern matching in strings" (1977).
  struct Watch {
    std::string stop;
    std::vector<size_t> borders;  // [i]: longest proper prefix of stop that stop[0..i] ends with
    size_t matched = 0;

    void advance(char byte);
  };

  std::vector<Watch> watches_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace hearth::chat
